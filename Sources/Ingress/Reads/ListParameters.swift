import Domain
import Foundation

/// The query part of a list's URL.
enum ListParameters {
    static let limits = 1...200

    /// - Throws: `ProblemResponse` 400 that names every parameter that is wrong.
    static func read<State: RawRepresentable & CaseIterable & Hashable & Sendable>(
        _ query: Substring?, states: State.Type
    ) throws(ProblemResponse) -> ListQuery<State> where State.RawValue == String {
        var result = ListQuery<State>()
        var errors: [Problem.FieldError] = []
        func reject(_ name: String, _ code: String, _ detail: String) {
            errors.append(Problem.FieldError(pointer: name, code: code, detail: detail))
        }
        var seen: Set<String> = []
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = decode(parts[0]), let value = parts.count == 2 ? decode(parts[1]) : "" else {
                reject("query", "encoding", "a percent sign must be followed by two hex digits of UTF-8")
                continue
            }
            guard seen.insert(name).inserted else {
                reject(name, "repeated", "must be given once")
                continue
            }
            switch name {
            case "limit":
                if let limit = Int(value), limits.contains(limit) {
                    result.limit = limit
                } else {
                    reject(name, "range", "must be within \(limits.lowerBound) to \(limits.upperBound)")
                }
            case "state":
                for word in value.split(separator: ",", omittingEmptySubsequences: false) {
                    if let state = State(rawValue: String(word)) {
                        result.states.append(state)
                    } else {
                        let words = State.allCases.map(\.rawValue).joined(separator: ", ")
                        reject(name, "choice", "must be one or more, separated by commas, of \(words)")
                    }
                }
            case "from", "to":
                guard let instant = InstantText.parse(value) else {
                    reject(name, "format", "must be an instant in RFC 3339 with a zone, such as 2027-03-16T13:00:00Z")
                    continue
                }
                if name == "from" { result.from = instant } else { result.to = instant }
            case "cursor":
                if let cursor = ListCursor(value) {
                    result.after = cursor
                } else {
                    reject(name, "format", "must be the next_cursor of an earlier page")
                }
            default:
                let known = "cursor, from, limit, state, to"
                reject(String(name.prefix(50)), "unknown", "is not a parameter here; there are \(known)")
            }
        }
        if let from = result.from, let to = result.to, from >= to { reject("to", "order", "must be later than from") }
        guard errors.isEmpty else {
            let names = Set(errors.map(\.pointer)).sorted().joined(separator: ", ")
            throw ProblemResponse(.malformedRequest, "The query has invalid parameters: \(names).", errors: errors)
        }
        return result
    }

    /// Percent-decoding of RFC 3986; a plus sign stands for itself, so that offsets like `+02:00` need no escaping.
    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexDigit), let low = rest.popFirst().flatMap(hexDigit) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexDigit(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.map(UInt8.init)
    }
}
