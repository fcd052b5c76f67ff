/// Changes to a JSON document (RFC 6902).
///
/// Applying one changes everything or, if one of its operations cannot be done, nothing.
package struct JSONPatch: Hashable, Sendable {
    /// One change.
    package enum Operation: Hashable, Sendable {
        case add(JSONPointer, JSONValue)
        case remove(JSONPointer)
        case replace(JSONPointer, JSONValue)
        case move(from: JSONPointer, JSONPointer)
        case copy(from: JSONPointer, JSONPointer)
        /// Changes nothing, and fails unless the value is there.
        case test(JSONPointer, JSONValue)

        /// The kind and the place without the value, such as `replace /customer/email`.
        package var summary: String {
            switch self {
            case .add(let path, _): "add \(path)"
            case .remove(let path): "remove \(path)"
            case .replace(let path, _): "replace \(path)"
            case .move(let from, let path): "move \(from) to \(path)"
            case .copy(let from, let path): "copy \(from) to \(path)"
            case .test(let path, _): "test \(path)"
            }
        }
    }

    /// Why a patch is none, or cannot be applied. Names places, never values.
    package struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    package var operations: [Operation]

    package init(_ operations: [Operation] = []) {
        self.operations = operations
    }

    /// Reads a patch document.
    package init(_ value: JSONValue) throws(Failure) {
        guard case .array(let entries) = value else { throw Failure(description: "a patch is an array of operations") }
        operations = []
        for (index, entry) in entries.enumerated() { operations.append(try Operation(entry, index: index)) }
    }

    /// Reads the text of a patch document.
    package init(json: some Sequence<UInt8>) throws(Failure) {
        do {
            try self.init(JSONParser.parse(Array(json)))
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(description: "a patch is JSON")
        }
    }

    /// The patch as a document.
    package var json: JSONValue { .array(operations.map(\.json)) }

    /// The document with all changes made.
    package func apply(to document: JSONValue) throws(Failure) -> JSONValue {
        var document = document
        for operation in operations { document = try operation.apply(to: document) }
        return document
    }

    /// The changed bytes of a body: compact, with sorted keys.
    ///
    /// A patch that begins by replacing the whole document fits every body, whatever it holds.
    package func apply(toBody body: [UInt8]) throws(Failure) -> [UInt8] {
        if case .replace(let place, let whole) = operations.first, place.tokens.isEmpty {
            return try JSONPatch(Array(operations.dropFirst())).apply(to: whole).encoded()
        }
        guard let original = try? JSONParser.parse(body) else {
            throw Failure(description: "the body is not JSON, so the patch cannot be applied to it")
        }
        return try apply(to: original).encoded()
    }

    /// A patch that makes one document out of another: members one by one, arrays of unlike length as a whole.
    package static func difference(from old: JSONValue, to new: JSONValue) -> JSONPatch {
        var operations: [Operation] = []
        collect(old, new, at: JSONPointer(), into: &operations)
        return JSONPatch(operations)
    }

    private static func collect(
        _ old: JSONValue, _ new: JSONValue, at pointer: JSONPointer, into operations: inout [Operation]
    ) {
        switch (old, new) {
        case (.object(let old), .object(let new)):
            for name in Set(old.keys).union(new.keys).sorted() {
                let place = pointer.appending(name)
                switch (old[name], new[name]) {
                case (let before?, let after?): collect(before, after, at: place, into: &operations)
                case (_?, nil): operations.append(.remove(place))
                case (nil, let after?): operations.append(.add(place, after))
                case (nil, nil): break
                }
            }
        case (.array(let old), .array(let new)) where old.count == new.count:
            for (index, pair) in zip(old, new).enumerated() {
                collect(pair.0, pair.1, at: pointer.appending(String(index)), into: &operations)
            }
        default:
            if old != new { operations.append(.replace(pointer, new)) }
        }
    }
}

extension JSONPatch.Operation {
    fileprivate init(_ value: JSONValue, index: Int) throws(JSONPatch.Failure) {
        guard case .object(let members) = value, case .string(let name) = members["op"] else {
            throw JSONPatch.Failure(description: "operation \(index) has no `op`")
        }
        func pointer(_ key: String) throws(JSONPatch.Failure) -> JSONPointer {
            guard case .string(let text) = members[key], let pointer = JSONPointer(text) else {
                throw JSONPatch.Failure(description: "operation \(index) (\(name)) needs a JSON pointer in `\(key)`")
            }
            return pointer
        }
        func operand() throws(JSONPatch.Failure) -> JSONValue {
            guard let value = members["value"] else {
                throw JSONPatch.Failure(description: "operation \(index) (\(name)) needs a `value`")
            }
            return value
        }
        switch name {
        case "add": self = .add(try pointer("path"), try operand())
        case "remove": self = .remove(try pointer("path"))
        case "replace": self = .replace(try pointer("path"), try operand())
        case "move": self = .move(from: try pointer("from"), try pointer("path"))
        case "copy": self = .copy(from: try pointer("from"), try pointer("path"))
        case "test": self = .test(try pointer("path"), try operand())
        default: throw JSONPatch.Failure(description: "operation \(index) is of an unknown kind")
        }
    }

    fileprivate var json: JSONValue {
        switch self {
        case .add(let path, let value): Self.object("add", path, value: value)
        case .remove(let path): Self.object("remove", path)
        case .replace(let path, let value): Self.object("replace", path, value: value)
        case .move(let from, let path): Self.object("move", path, from: from)
        case .copy(let from, let path): Self.object("copy", path, from: from)
        case .test(let path, let value): Self.object("test", path, value: value)
        }
    }

    private static func object(
        _ name: String, _ path: JSONPointer, from: JSONPointer? = nil, value: JSONValue? = nil
    ) -> JSONValue {
        var members: [String: JSONValue] = ["op": .string(name), "path": .string(path.description)]
        members["from"] = from.map { .string($0.description) }
        members["value"] = value
        return .object(members)
    }

    fileprivate func apply(to document: JSONValue) throws(JSONPatch.Failure) -> JSONValue {
        switch self {
        case .add(let path, let value):
            return try document.changing(path.tokens[...], path) { $0.add(value, at: $1) } ?? value
        case .remove(let path):
            guard
                let rest = try document.changing(
                    path.tokens[...], path,
                    { parent, token in
                        parent.replace(token, with: nil)
                    })
            else { throw JSONPatch.Failure(description: "the whole document cannot be removed") }
            return rest
        case .replace(let path, let value):
            return try document.changing(path.tokens[...], path) { $0.replace($1, with: value) } ?? value
        case .move(let from, let path):
            if path.tokens.count > from.tokens.count, path.tokens.starts(with: from.tokens) {
                throw JSONPatch.Failure(description: "\(from) cannot be moved into itself")
            }
            guard let value = document.value(at: from) else { throw .missing(from) }
            if from == path { return document }
            let rest = try Self.remove(from).apply(to: document)
            return try Self.add(path, value).apply(to: rest)
        case .copy(let from, let path):
            guard let value = document.value(at: from) else { throw .missing(from) }
            return try Self.add(path, value).apply(to: document)
        case .test(let path, let value):
            guard document.value(at: path) == value else {
                throw JSONPatch.Failure(description: "the value at \(path) is not the one that the patch expects")
            }
            return document
        }
    }
}

extension JSONPatch.Failure {
    fileprivate static func missing(_ pointer: JSONPointer) -> JSONPatch.Failure {
        JSONPatch.Failure(description: "there is nothing at \(pointer)")
    }
}

extension JSONValue {
    /// The document with a change made in the array or object that holds the last token.
    ///
    /// - Parameter change: says false if there is no such place.
    /// - Returns: nil if the pointer names the whole document, which nothing holds.
    fileprivate func changing(
        _ tokens: ArraySlice<String>, _ pointer: JSONPointer, _ change: (inout JSONValue, String) -> Bool
    ) throws(JSONPatch.Failure) -> JSONValue? {
        guard let token = tokens.first else { return nil }
        var changed = self
        if tokens.count == 1 {
            guard change(&changed, token) else { throw .missing(pointer) }
            return changed
        }
        guard let child = value(at: JSONPointer(tokens: [token])),
            let new = try child.changing(tokens.dropFirst(), pointer, change), changed.replace(token, with: new)
        else { throw .missing(pointer) }
        return changed
    }

    /// Puts a value beside others: a member, or an element before the one that is there; `-` is after the last one.
    fileprivate mutating func add(_ value: JSONValue, at token: String) -> Bool {
        switch self {
        case .object(var members):
            members[token] = value
            self = .object(members)
        case .array(var elements):
            guard let index = token == "-" ? elements.count : JSONPointer.index(token), index <= elements.count else {
                return false
            }
            elements.insert(value, at: index)
            self = .array(elements)
        default: return false
        }
        return true
    }

    /// Puts a value in the place of one that is there, or takes that one out.
    fileprivate mutating func replace(_ token: String, with value: JSONValue?) -> Bool {
        switch self {
        case .object(var members):
            guard members[token] != nil else { return false }
            members[token] = value
            self = .object(members)
        case .array(var elements):
            guard let index = JSONPointer.index(token), elements.indices.contains(index) else { return false }
            if let value { elements[index] = value } else { elements.remove(at: index) }
            self = .array(elements)
        default: return false
        }
        return true
    }
}
