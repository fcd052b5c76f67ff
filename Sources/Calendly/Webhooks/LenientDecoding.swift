// Calendly adds keys, event names, location types and enum values without notice, and its samples differ from its schema in
// places. So only what nothing can be done without is required; of the rest, what does not have the expected form counts as
// absent.

extension KeyedDecodingContainer {
    /// A string that has to be there.
    func text(_ key: Key) throws -> String {
        try decode(String.self, forKey: key).withoutNUL
    }

    /// A string; nil if it is absent, null or something else.
    func optionalText(_ key: Key) -> String? {
        optional(String.self, key)?.withoutNUL
    }

    /// A value; nil if it is absent, null or of another form.
    func optional<Value: Decodable>(_ type: Value.Type, _ key: Key) -> Value? {
        // `try?` flattens the two reasons for nil into one, which is the point.
        try? decodeIfPresent(type, forKey: key)
    }

    /// The elements that have the expected form; none if it is no array.
    func elements<Value: Decodable>(of type: Value.Type, _ key: Key) -> [Value] {
        optional([Tolerated<Value>].self, key)?.compactMap(\.value) ?? []
    }
}

/// An element that may be of a form we do not know.
private struct Tolerated<Value: Decodable>: Decodable {
    var value: Value?

    init(from decoder: any Decoder) throws {
        value = try? Value(from: decoder)
    }
}

extension String {
    /// JSON can spell U+0000, PostgreSQL cannot store it in text, and nobody means anything by it.
    fileprivate var withoutNUL: String {
        utf8.contains(0) ? String(unicodeScalars.filter { $0.value != 0 }) : self
    }

    /// The text without space around it; nil if nothing is left.
    var nonBlank: String? {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace })
        else { return nil }
        return String(self[first...last])
    }
}
