/// The header fields of a request or a response, in order; names compare without case.
package struct HTTPHeaders: Sendable, Equatable, ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral {
    /// One header field, as it was given or received.
    package struct Field: Sendable, Equatable {
        /// The field name, in its own spelling.
        package let name: String
        /// The field value, without surrounding white space.
        package let value: String

        /// Makes a field; what may not travel in one is refused when the request is sent.
        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }

        package static func == (left: Field, right: Field) -> Bool {
            left.value == right.value && left.name.lowercased() == right.name.lowercased()
        }
    }

    /// Every field, repeated names included.
    package private(set) var fields: [Field]

    /// Makes a list of fields.
    package init(_ fields: [Field] = []) {
        self.fields = fields
    }

    package init(dictionaryLiteral elements: (String, String)...) {
        fields = elements.map { Field(name: $0.0, value: $0.1) }
    }

    package init(arrayLiteral elements: Field...) {
        fields = elements
    }

    /// The first value under this name; setting it replaces every field of the name, nil removes them.
    package subscript(name: String) -> String? {
        get {
            let name = name.lowercased()
            return fields.first { $0.name.lowercased() == name }?.value
        }
        set {
            let lowercased = name.lowercased()
            let index = fields.firstIndex { $0.name.lowercased() == lowercased } ?? fields.endIndex
            fields.removeAll { $0.name.lowercased() == lowercased }
            if let newValue { fields.insert(Field(name: name, value: newValue), at: min(index, fields.endIndex)) }
        }
    }

    /// All values under this name, in order.
    package func values(of name: String) -> [String] {
        let name = name.lowercased()
        return fields.filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// Adds a field and keeps those of the same name.
    package mutating func append(name: String, value: String) {
        fields.append(Field(name: name, value: value))
    }

    mutating func removeAll() {
        fields.removeAll()
    }
}
