import ArgumentParser
import Foundation

/// Who acts at this terminal, for the operator log.
struct OperatorOptions: ParsableArguments {
    @Option(name: .customLong("as"), help: "Who does this, for the record; the system's user without it.")
    var name: String?

    func validate() throws {
        if let name, name.isEmpty || name.count > 100 || name.hasPrefix("key:") || name.hasPrefix("user:") {
            throw ValidationError("--as must have 1 to 100 characters and not begin with key: or user:")
        }
    }

    /// The name given, or the user behind `sudo`, or the user.
    var actor: String { name ?? ProcessInfo.processInfo.environment["SUDO_USER"] ?? NSUserName() }
}
