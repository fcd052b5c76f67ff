package import Foundation

/// The one way that our own messages and answers are written as JSON.
///
/// Keys in snake_case, sorted; instants in RFC 3339, UTC, with milliseconds; slashes unescaped.
package enum WireJSON {
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(Instant.text(date))
        }
        return Array(try encoder.encode(value))
    }

    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: some Sequence<UInt8>) throws -> Value {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            let text = try container.decode(String.self)
            guard let date = Instant.parse(text) else {
                throw DecodingError.dataCorruptedError(
                    in: container, debugDescription: "not an RFC 3339 instant with a zone")
            }
            return date
        }
        return try decoder.decode(type, from: Data(bytes))
    }
}

/// Instants as text.
package enum Instant {
    /// RFC 3339 in UTC with milliseconds, such as `2027-03-16T13:00:00.000Z`; the nearest one, so that what was read from
    /// such a text is written as the same again.
    package static func text(_ date: Date) -> String {
        // The format cuts off, and most decimal fractions lie a little below themselves in a double.
        (date + 0.000_5).formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// Reads RFC 3339 with any number of fraction digits; a zone is required.
    package static func parse(_ text: String) -> Date? {
        if let date = try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true)) {
            return date
        }
        return try? Date(text, strategy: Date.ISO8601FormatStyle())
    }
}
