/// A data type of the server by its object id (`pg_type.oid`; the built-in ones never change).
package struct PostgresType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Left to the server, which infers the type from where the parameter stands.
    package static let inferred = PostgresType(rawValue: 0)
    package static let bool = PostgresType(rawValue: 16)
    package static let bytea = PostgresType(rawValue: 17)
    package static let int8 = PostgresType(rawValue: 20)
    package static let int4 = PostgresType(rawValue: 23)
    package static let text = PostgresType(rawValue: 25)
    package static let float8 = PostgresType(rawValue: 701)
    package static let int8Array = PostgresType(rawValue: 1016)
    package static let int4Array = PostgresType(rawValue: 1007)
    package static let timestamptz = PostgresType(rawValue: 1184)
    package static let uuid = PostgresType(rawValue: 2950)
    package static let uuidArray = PostgresType(rawValue: 2951)
    package static let jsonb = PostgresType(rawValue: 3802)
}

/// A value ready to be bound to `$n`.
package struct PostgresParameter: Sendable, Equatable {
    /// What travels.
    package enum Value: Sendable, Equatable {
        case null
        /// The server's text form.
        case text(String)
        /// Bytes of a `bytea`, sent in binary.
        case bytes([UInt8])
        /// A value that has no form on the server; sending it fails with this reason.
        case invalid(String)
    }

    package var type: PostgresType
    package var value: Value

    package init(_ value: Value, type: PostgresType) {
        self.value = value
        self.type = type
    }
}
