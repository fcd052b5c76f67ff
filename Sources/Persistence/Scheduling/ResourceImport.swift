package import Domain
import Foundation
import Messaging
package import Postgres

/// Crews, estimators and machines from a file, as `neff resources import` reads it.
///
///     {"resources": [{"kind": "crew", "name": "Crew North", "email": "north@example.com", "skills": ["asphalt"]},
///                    {"kind": "equipment", "name": "Paver 1", "equipment_type": "paver"}]}
///
/// `kind` and `name` are needed, and say which resource is meant; `email`, `phone`, `calendly_user` (estimators),
/// `equipment_type` (machines, needed there), `skills`, `time_zone` and `active` may follow. What a file leaves out is
/// cleared, so that the file is the whole truth about the resources in it; resources that are not in it stay as they are.
package struct ResourceImport: Hashable, Sendable {
    /// One resource of the file.
    package struct Entry: Hashable, Sendable {
        package var kind: ResourceKind
        package var name: String
        package var email: String?
        package var phone: String?
        package var calendlyUser: String?
        package var equipmentType: String?
        package var skills: [String] = []
        package var timeZone = "America/New_York"
        package var isActive = true
    }

    /// What is wrong with a file; every fault has its own line.
    package struct Invalid: Error, Hashable, Sendable, CustomStringConvertible {
        package var faults: [String]

        package var description: String { faults.joined(separator: "\n") }
    }

    /// What an import did.
    package struct Summary: Hashable, Sendable {
        package var added = 0
        package var changed = 0
        package var unchanged = 0

        package init(added: Int = 0, changed: Int = 0, unchanged: Int = 0) {
            self.added = added
            self.changed = changed
            self.unchanged = unchanged
        }
    }

    package var entries: [Entry]

    /// Reads a file.
    ///
    /// - Parameter json: at most 10,000 resources.
    package init(json: some Sequence<UInt8>) throws(Invalid) {
        let document: [String: Member]
        do {
            document = try JSONDecoder().decode([String: Member].self, from: Data(json))
        } catch {
            throw Invalid(faults: [#"The file is not a JSON object: {"resources": [...]}."#])
        }
        guard case .entries(let list)? = document["resources"] else {
            throw Invalid(faults: [#"The file must have a list of objects: {"resources": [{...}]}."#])
        }
        guard list.count <= 10_000 else { throw Invalid(faults: ["The file has more than 10000 resources."]) }
        var reader = ResourceReader()
        for key in document.keys.sorted() where key != "resources" { reader.faults.append("\(key): unknown field.") }
        entries = list.enumerated().compactMap { reader.entry($0.element, at: "resources[\($0.offset)]") }
        guard reader.faults.isEmpty else { throw Invalid(faults: reader.faults) }
    }

    /// Adds and changes the resources, all or none.
    ///
    /// - Throws: `PostgresError`; a `calendly_user` that another resource has violates `resources_calendly_user_once`.
    package func apply(in transaction: Transaction) async throws -> Summary {
        var summary = Summary()
        for entry in entries.sorted(by: { ($0.kind.rawValue, $0.name) < ($1.kind.rawValue, $1.name) }) {
            // The same resource has the same id in every installation, so files and fixtures can name it.
            let id = ResourceID(digest: MessageID.digest(["resource", entry.kind.rawValue, entry.name]))
            let rows = try await transaction.query(
                """
                insert into resources as r
                    (id, kind, name, email, phone, calendly_user, equipment_type, skills, time_zone, active)
                values (\(id.rawValue), \(entry.kind.rawValue), \(entry.name), \(entry.email), \(entry.phone),
                    \(entry.calendlyUser), \(entry.equipmentType), \(entry.skills)::text[], \(entry.timeZone),
                    \(entry.isActive))
                on conflict on constraint resources_name_once do update set
                    email = excluded.email, phone = excluded.phone, calendly_user = excluded.calendly_user,
                    equipment_type = excluded.equipment_type, skills = excluded.skills,
                    time_zone = excluded.time_zone, active = excluded.active
                where (r.email, r.phone, r.calendly_user, r.equipment_type, r.skills, r.time_zone, r.active)
                    is distinct from (excluded.email, excluded.phone, excluded.calendly_user, excluded.equipment_type,
                        excluded.skills, excluded.time_zone, excluded.active)
                returning xmax = 0 as added
                """)
            switch try rows.first?.decode("added", as: Bool.self) {
            case true?: summary.added += 1
            case false?: summary.changed += 1
            case nil: summary.unchanged += 1
            }
        }
        return summary
    }
}

/// A member of the file's object.
private enum Member: Decodable {
    case entries([[String: Field]])
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        self = (try? container.decode([[String: Field]].self)).map(Member.entries) ?? .other
    }
}

/// A field of a resource as it stands in the file.
private enum Field: Decodable {
    case null
    case flag(Bool)
    case text(String)
    case texts([String])
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let text = try? container.decode(String.self), !text.utf8.contains(0) {
            self = .text(text)
        } else if let texts = try? container.decode([String].self), !texts.contains(where: { $0.utf8.contains(0) }) {
            self = .texts(texts)
        } else {
            self = .other
        }
    }
}

/// Turns the members of a file into entries and collects what is wrong with them.
private struct ResourceReader {
    var faults: [String] = []
    private var seen: Set<String> = []

    private static let fields: Set<String> = [
        "kind", "name", "email", "phone", "calendly_user", "equipment_type", "skills", "time_zone", "active",
    ]

    mutating func entry(_ fields: [String: Field], at path: String) -> ResourceImport.Entry? {
        let before = faults.count
        for key in fields.keys.sorted() where !Self.fields.contains(key) {
            faults.append("\(path).\(key): unknown field; known are \(Self.fields.sorted().joined(separator: ", ")).")
        }
        let kind = text("kind", of: fields, at: path).flatMap(ResourceKind.init(rawValue:))
        let kinds = ResourceKind.allCases.map(\.rawValue).joined(separator: ", ")
        if kind == nil { faults.append("\(path).kind: must be one of \(kinds).") }
        let name = text("name", of: fields, at: path)?.trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
        if name.isEmpty || name.count > 200 { faults.append("\(path).name: must have 1 to 200 characters.") }
        var entry = ResourceImport.Entry(kind: kind ?? .crew, name: name)
        entry.email = text("email", of: fields, at: path)
        entry.phone = text("phone", of: fields, at: path)
        entry.calendlyUser = text("calendly_user", of: fields, at: path)
        entry.equipmentType = text("equipment_type", of: fields, at: path)
        entry.timeZone = text("time_zone", of: fields, at: path) ?? entry.timeZone
        switch fields["skills"] {
        case .texts(let skills)?: entry.skills = Set(skills).sorted()
        case .null?, nil: break
        default: faults.append("\(path).skills: must be a list of texts.")
        }
        switch fields["active"] {
        case .flag(let isActive)?: entry.isActive = isActive
        case nil: break
        default: faults.append("\(path).active: must be true or false.")
        }
        if SiteClock(identifier: entry.timeZone) == nil {
            faults.append("\(path).time_zone: there is no zone \(entry.timeZone); use an IANA name.")
        }
        if let email = entry.email, !email.contains("@") || email.contains(where: \.isWhitespace) {
            faults.append("\(path).email: is not an address.")
        }
        if let kind, (kind == .equipment) != (entry.equipmentType != nil) {
            faults.append("\(path).equipment_type: machines need it, and nobody else has it.")
        }
        if let kind, !name.isEmpty, !seen.insert("\(kind.rawValue)/\(name)").inserted {
            faults.append("\(path).name: the file has this \(kind.rawValue) twice.")
        }
        return faults.count == before ? entry : nil
    }

    private mutating func text(_ key: String, of fields: [String: Field], at path: String) -> String? {
        switch fields[key] {
        case .text(let text)?: return text
        case .null?, nil: return nil
        default:
            faults.append("\(path).\(key): must be text.")
            return nil
        }
    }
}
