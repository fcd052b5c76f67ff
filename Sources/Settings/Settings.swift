import Foundation

/// The settings of this process, read once: from a file if one is named, and from the environment, which wins.
package struct Settings: Sendable {
    /// Names a file of `KEY=VALUE` lines; `#` starts a comment line.
    package static let fileKey = "NEFF_CONFIG_FILE"
    /// Names that scripts and tests use and no process reads.
    static let foreignNames: Set<String> = [
        "NEFF_SMTP_MAILBOX", "NEFF_TLS_DIR", "NEFF_PROMTOOL", "NEFF_SERVICES", "NEFF_RABBITMQCTL", "NEFF_EXECUTABLE",
        "NEFF_API_KEY",
    ]

    private static let passwordPrefixes = ["NEFF_BROKER_PASSWORD_", "NEFF_DATABASE_PASSWORD_"]

    private let values: [String: String]

    /// - Parameter values: what is set; used as it is, without a look at the environment.
    package init(values: [String: String]) throws(SettingsError) {
        self.values = values
        let known = Set(Keys.all.map(\.name)).union(Self.foreignNames).union([Self.fileKey])
        for name in values.keys.sorted() where name.hasPrefix("NEFF_") && !known.contains(name) {
            // Passwords of broker users and of database log-ins, one for each role.
            if Self.passwordPrefixes.contains(where: name.hasPrefix) { continue }
            throw SettingsError(name: name, problem: "is not a setting", hint: Self.closest(to: name, in: known))
        }
    }

    /// Reads the file that `NEFF_CONFIG_FILE` names, if it does, and the environment.
    package static func load(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws(SettingsError) -> Settings {
        guard let path = environment[fileKey] else { return try Settings(values: environment) }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw SettingsError(name: fileKey, problem: "names a file that cannot be read", hint: "Check \(path).")
        }
        var values = try parse(file: text, path: path)
        values.merge(environment) { _, fromEnvironment in fromEnvironment }
        return try Settings(values: values)
    }

    /// The value of a key.
    ///
    /// - Throws: if it must be set and is not, or if its text is no value.
    package func value<Value>(_ key: SettingKey<Value>) throws(SettingsError) -> Value {
        guard let text = values[key.name] ?? key.defaultText else {
            throw SettingsError(
                name: key.name, problem: "is not set", hint: "\(key.summary) Format: \(key.format).")
        }
        return try parse(text, as: key)
    }

    /// The value of a key that may be left out.
    package func optional<Value>(_ key: SettingKey<Value>) throws(SettingsError) -> Value? {
        guard let text = values[key.name] ?? key.defaultText else { return nil }
        return try parse(text, as: key)
    }

    /// Whether somebody has set a key, as opposed to its default.
    package func isSet(_ name: String) -> Bool {
        values[name] != nil
    }

    /// What would be shown of a setting: never a secret.
    package func shownValue(_ key: SettingDescription) -> String? {
        guard let text = values[key.name] else { return key.defaultText }
        return key.isSecret ? "(set, secret)" : text
    }

    private func parse<Value>(_ text: String, as key: SettingKey<Value>) throws(SettingsError) -> Value {
        do {
            return try key.parse(text)
        } catch {
            throw SettingsError(name: key.name, problem: error.expectation, hint: key.summary)
        }
    }

    private static func parse(file text: String, path: String) throws(SettingsError) -> [String: String] {
        let known = Set(Keys.all.map(\.name))
        var values: [String: String] = [:]
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = line.trimmingCharacters(in: .whitespaces)
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let equals = line.firstIndex(of: "=") else {
                throw SettingsError(
                    name: fileKey, problem: "names a file whose line \(index + 1) is not KEY=VALUE",
                    hint: "Check \(path).")
            }
            let name = line[..<equals].trimmingCharacters(in: .whitespaces)
            guard known.contains(name) else {
                throw SettingsError(
                    name: name, problem: "is not a setting (\(path), line \(index + 1))",
                    hint: closest(to: name, in: known))
            }
            values[name] = line[line.index(after: equals)...].trimmingCharacters(in: .whitespaces)
        }
        return values
    }

    /// "Did you mean ...?" for the known name at the least edit distance.
    private static func closest(to name: String, in known: Set<String>) -> String {
        let best = known.min { editDistance($0, name) < editDistance($1, name) }
        guard let best, editDistance(best, name) <= max(3, name.count / 3) else {
            return "Run `neff settings` to see what there is."
        }
        return "Did you mean \(best)?"
    }

    private static func editDistance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let next = min(row[j + 1] + 1, row[j] + 1, diagonal + (a == b ? 0 : 1))
                diagonal = row[j + 1]
                row[j + 1] = next
            }
        }
        return row[right.count]
    }
}

/// A setting that is missing or wrong. Its description is one line and never shows the value.
package struct SettingsError: Error, CustomStringConvertible {
    package let name: String
    package let problem: String
    package let hint: String

    package init(name: String, problem: String, hint: String) {
        self.name = name
        self.problem = problem
        self.hint = hint
    }

    package var description: String { "\(name) \(problem). \(hint)" }
}
