/// Who works on the database under rights of its own.
///
/// Each has a group role without a log-in, made and given its rights by the migrations, and a log-in role that is a
/// member of it, made by `ServiceLogins`.
package enum ServiceRole: String, CaseIterable, Sendable {
    case ingress
    case sync
    case scheduling
    case notification
    /// The journal of dead letters.
    case deadLetters = "deadletters"
    /// People, and the commands they run.
    case people = "operator"

    /// The role that has the rights.
    package var group: String { "neff_\(rawValue)" }
}
