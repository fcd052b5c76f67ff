package import Postgres

/// The schema, step by step. Files are never edited once they are released.
package enum Migrations {
    package static let all: [Migration] = [
        Migration(version: 1, name: "messaging", bytes: PackageResources.V0001__messaging_sql),
        Migration(version: 2, name: "scheduling", bytes: PackageResources.V0002__scheduling_sql),
        Migration(version: 3, name: "defaults", bytes: PackageResources.V0003__defaults_sql),
        Migration(version: 4, name: "roles", bytes: PackageResources.V0004__roles_sql),
    ]
}

extension Migration {
    fileprivate init(version: Int, name: String, bytes: [UInt8]) {
        self.init(version: version, name: name, sql: String(decoding: bytes, as: UTF8.self))
    }
}
