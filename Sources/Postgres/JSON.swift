import FoundationEssentials

/// A document that is JSON already; the server checks it and infers `json` or `jsonb`.
package struct JSONText: RawRepresentable, Hashable, Sendable, PostgresEncodable, PostgresDecodable {
    package var rawValue: String

    package init(rawValue: String) {
        self.rawValue = rawValue
    }

    package init(_ text: String) {
        rawValue = text
    }
}

/// A value kept as `jsonb`, encoded with sorted keys and ISO 8601 dates.
package struct Jsonb<Value: Codable & Sendable>: Sendable, PostgresEncodable, PostgresDecodable {
    package var value: Value

    package init(_ value: Value) {
        self.value = value
    }

    package static var postgresType: PostgresType { .jsonb }

    package var postgresParameter: PostgresParameter {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        guard let data = try? encoder.encode(value) else {
            return PostgresParameter(.invalid("the value does not encode as JSON"), type: .jsonb)
        }
        return PostgresParameter(.text(String(decoding: data, as: UTF8.self)), type: .jsonb)
    }

    package init(cell: PostgresCell) throws(PostgresError) {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        do {
            value = try decoder.decode(Value.self, from: Data(cell.bytes))
        } catch {
            throw cell.mismatch("JSON of \(Value.self)")
        }
    }
}

extension Jsonb: Equatable where Value: Equatable {}
