/// One step of the schema: a file `V0007__what_changes.sql` whose first line says `-- breaking: yes` or `no`.
///
/// Breaking means that a program of the version before cannot work with the schema after it.
package struct Migration: Sendable, Equatable {
    package let version: Int
    package let name: String
    package let sql: String

    package init(version: Int, name: String, sql: String) {
        self.version = version
        self.name = name
        self.sql = sql
    }

    /// Reads the version and the name from a file's name.
    ///
    /// - Throws: `invalidMigration` if it is not of the form `V<number>__<name>.sql` or not UTF-8.
    package init(file: String, contents: some Sequence<UInt8>) throws(PostgresError) {
        let parts = file.dropLast(4).split(separator: "__", maxSplits: 1)
        guard file.hasPrefix("V"), file.hasSuffix(".sql"), parts.count == 2, let version = Int(parts[0].dropFirst()),
            version > 0
        else {
            throw PostgresError(.invalidMigration, "\(file) is not named like V0001__what_changes.sql")
        }
        guard let sql = String(validating: Array(contents), as: UTF8.self) else {
            throw PostgresError(.invalidMigration, "\(file) is not UTF-8")
        }
        self.init(version: version, name: String(parts[1]), sql: sql)
    }

    /// Whether programs of the version before stop working; nil if the first line does not say.
    package var isBreaking: Bool? {
        switch sql.prefix(while: { $0 != "\n" && $0 != "\r\n" }) {
        case "-- breaking: yes": true
        case "-- breaking: no": false
        default: nil
        }
    }
}
