import Domain
import Foundation
import Messaging

/// Reads the fields of one JSON object and collects everything that is wrong with them.
///
/// Each method returns nil both for a field that is absent and for one that is invalid; whether the whole is valid is known
/// when all have been read and `finish` has looked for fields that nobody asked for.
struct ObjectReader {
    private let members: [String: JSONValue]
    /// JSON pointer of the object.
    private let path: String
    private var known: Set<String> = []
    private(set) var errors: [Problem.FieldError] = []

    init(_ members: [String: JSONValue], path: String = "") {
        self.members = members
        self.path = path
    }

    enum Presence {
        case required, optional
    }

    /// A string of 1 to `length` characters.
    ///
    /// - Parameter check: returns a code and a detail if the text will not do.
    mutating func string(
        _ name: String, _ presence: Presence = .optional, length: Int, multiline: Bool = false,
        check: (String) -> (code: String, detail: String)? = { _ in nil }
    ) -> String? {
        guard let value = value(name, presence) else { return nil }
        guard case .string(let text) = value else {
            reject(name, "type", "must be a string, not \(value.kind)")
            return nil
        }
        if text.isEmpty || text.allSatisfy(\.isWhitespace) {
            reject(name, "blank", "must not be empty")
        } else if text.unicodeScalars.count > length {
            reject(name, "too_long", "must have at most \(length) characters")
        } else if text.unicodeScalars.contains(where: { Self.isForbidden($0, multiline: multiline) }) {
            reject(name, "control_character", "must not contain control characters")
        } else if let fault = check(text) {
            reject(name, fault.code, fault.detail)
        } else {
            return text
        }
        return nil
    }

    /// A whole number, also when written as `90.0`, which some languages do.
    mutating func integer(_ name: String, _ presence: Presence = .optional, in range: ClosedRange<Int>) -> Int? {
        guard let value = value(name, presence) else { return nil }
        guard case .number(let text) = value else {
            reject(name, "type", "must be a number, not \(value.kind)")
            return nil
        }
        guard let number = Int(text) ?? Double(text).flatMap({ Int(exactly: $0) }) else {
            reject(name, "type", "must be a whole number")
            return nil
        }
        guard range.contains(number) else {
            reject(name, "range", "must be within \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    /// True or false.
    mutating func flag(_ name: String, _ presence: Presence = .optional) -> Bool? {
        guard let value = value(name, presence) else { return nil }
        guard case .bool(let flag) = value else {
            reject(name, "type", "must be true or false, not \(value.kind)")
            return nil
        }
        return flag
    }

    /// A number that is not infinite.
    mutating func number(
        _ name: String, _ presence: Presence = .optional, in range: ClosedRange<Double>
    ) -> Double? {
        guard let value = value(name, presence) else { return nil }
        guard case .number(let text) = value, let number = Double(text) else {
            reject(name, "type", "must be a number, not \(value.kind)")
            return nil
        }
        guard range.contains(number) else {
            reject(name, "range", "must be within \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    /// A list of whole numbers.
    mutating func integers(
        _ name: String, _ presence: Presence = .optional, atMost count: Int, in range: ClosedRange<Int>
    ) -> [Int]? {
        elements(name, presence, atMost: count) { value in
            guard case .number(let text) = value, let number = Int(text) else {
                return .failure(("type", "must be a whole number, not \(value.kind)"))
            }
            return range.contains(number)
                ? .success(number)
                : .failure(("range", "must be within \(range.lowerBound) to \(range.upperBound)"))
        }
    }

    /// A list of strings.
    mutating func strings(
        _ name: String, _ presence: Presence = .optional, atMost count: Int,
        check: (String) -> (code: String, detail: String)?
    ) -> [String]? {
        elements(name, presence, atMost: count) { value in
            guard case .string(let text) = value else {
                return .failure(("type", "must be a string, not \(value.kind)"))
            }
            return check(text).map { .failure($0) } ?? .success(text)
        }
    }

    /// A list of objects.
    mutating func objects<Value>(
        _ name: String, _ presence: Presence = .optional, atMost count: Int, read: (inout ObjectReader) -> Value?
    ) -> [Value]? {
        guard let value = value(name, presence) else { return nil }
        guard case .array(let elements) = value else {
            reject(name, "type", "must be an array, not \(value.kind)")
            return nil
        }
        guard elements.count <= count else {
            reject(name, "too_long", "must have at most \(count) elements")
            return nil
        }
        return elements.enumerated().compactMap { index, element in
            guard case .object(let members) = element else {
                errors.append(
                    Problem.FieldError(
                        pointer: pointer(name) + "/\(index)", code: "type",
                        detail: "must be an object, not \(element.kind)"))
                return nil
            }
            var reader = ObjectReader(members, path: pointer(name) + "/\(index)")
            let result = read(&reader)
            errors += reader.finish()
            return result
        }
    }

    private enum Element<Value> {
        case success(Value)
        case failure((code: String, detail: String))
    }

    private mutating func elements<Value>(
        _ name: String, _ presence: Presence, atMost count: Int, read: (JSONValue) -> Element<Value>
    ) -> [Value]? {
        guard let value = value(name, presence) else { return nil }
        guard case .array(let elements) = value else {
            reject(name, "type", "must be an array, not \(value.kind)")
            return nil
        }
        guard elements.count <= count else {
            reject(name, "too_long", "must have at most \(count) elements")
            return nil
        }
        var values: [Value] = []
        for (index, element) in elements.enumerated() {
            switch read(element) {
            case .success(let value): values.append(value)
            case .failure(let fault):
                errors.append(
                    Problem.FieldError(pointer: pointer(name) + "/\(index)", code: fault.code, detail: fault.detail))
            }
        }
        return values.count == elements.count ? values : nil
    }

    /// An instant in RFC 3339 with its offset from UTC.
    mutating func instant(_ name: String, _ presence: Presence = .optional) -> Date? {
        var instant: Date?
        _ = string(name, presence, length: 40) { text in
            instant = InstantText.parse(text)
            return instant == nil
                ? ("format", "must be an instant in RFC 3339 with a zone, such as 2027-03-16T09:00:00-04:00") : nil
        }
        return instant
    }

    /// One of a fixed set of words.
    mutating func choice<Word: RawRepresentable & CaseIterable>(
        _ name: String, _ presence: Presence = .optional, as type: Word.Type
    ) -> Word? where Word.RawValue == String {
        let text = string(name, presence, length: 100) { text in
            let words = Word.allCases.map(\.rawValue)
            return words.contains(text) ? nil : ("choice", "must be one of " + words.joined(separator: ", "))
        }
        return text.flatMap(Word.init(rawValue:))
    }

    /// An object within this one.
    mutating func object<Value>(
        _ name: String, _ presence: Presence = .optional, read: (inout ObjectReader) -> Value?
    ) -> Value? {
        guard let value = value(name, presence) else { return nil }
        guard case .object(let members) = value else {
            reject(name, "type", "must be an object, not \(value.kind)")
            return nil
        }
        var reader = ObjectReader(members, path: pointer(name))
        let result = read(&reader)
        errors += reader.finish()
        return result
    }

    /// Everything that was wrong, unknown fields included, in a stable order.
    mutating func finish() -> [Problem.FieldError] {
        for name in members.keys.sorted() where !known.contains(name) {
            let close = known.sorted().joined(separator: ", ")
            errors.append(
                Problem.FieldError(
                    pointer: pointer(name), code: "unknown",
                    detail: "is not a field here" + (close.isEmpty ? "" : "; there are \(close)")))
        }
        return errors
    }

    private mutating func value(_ name: String, _ presence: Presence) -> JSONValue? {
        known.insert(name)
        switch members[name] {
        case nil, .null?:
            // Null is how many clients write "not given".
            if presence == .required { reject(name, "required", "is required") }
            return nil
        case let value?: return value
        }
    }

    /// Whether a field is there, as null or with a value; it is known then.
    mutating func isGiven(_ name: String) -> Bool {
        known.insert(name)
        return members[name] != nil
    }

    /// Whether a field is given, valid or not.
    func has(_ name: String) -> Bool {
        switch members[name] {
        case nil, .null?: false
        default: true
        }
    }

    /// Notes what is wrong with a field for a reason that only its reader knows.
    mutating func reject(_ name: String, _ code: String, _ detail: String) {
        errors.append(Problem.FieldError(pointer: pointer(name), code: code, detail: detail))
    }

    private func pointer(_ name: String) -> String {
        // RFC 6901 section 3.
        let escaped = name.replacing("~", with: "~0").replacing("/", with: "~1")
        // A name from outside is repeated to its sender, not at any length.
        return path + "/" + escaped.cappedUTF8(to: 100)
    }

    private static func isForbidden(_ scalar: Unicode.Scalar, multiline: Bool) -> Bool {
        if multiline, scalar == "\n" || scalar == "\r" || scalar == "\t" { return false }
        return scalar.properties.generalCategory == .control || scalar == "\u{2028}" || scalar == "\u{2029}"
    }
}
