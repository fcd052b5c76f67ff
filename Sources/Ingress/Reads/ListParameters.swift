import Domain
import Foundation
import Persistence

/// The query part of a list's URL, read and checked.
struct ListParameters<State: RawRepresentable & CaseIterable & Hashable & Sendable>: Sendable
where State.RawValue == String {
    var states: Set<State> = []
    var from: Date?
    var to: Date?
    var cursor: PageCursor?
    var limit = 50

    /// - Parameter isID: whether a text may be the id of something in this list; a cursor with another one is refused.
    /// - Throws: `ProblemResponse` 400 that names every parameter that is wrong.
    init(_ query: Substring?, isID: (String) -> Bool) throws(ProblemResponse) {
        var errors: [Problem.FieldError] = []
        func reject(_ name: String, _ code: String, _ detail: String) {
            errors.append(Problem.FieldError(pointer: name, code: code, detail: detail))
        }
        var seen: Set<String> = []
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(parts[0]),
                let value = parts.count == 2 ? PercentEncoding.decode(parts[1]) : ""
            else {
                reject("query", "encoding", "a percent sign must be followed by two hex digits of UTF-8")
                continue
            }
            guard seen.insert(name).inserted else {
                reject(String(name.prefix(50)), "repeated", "must be given once")
                continue
            }
            switch name {
            case "limit":
                if let number = Int(value), (1...200).contains(number) {
                    limit = number
                } else {
                    reject(name, "range", "must be within 1 to 200")
                }
            case "state":
                let words = value.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
                states = Set(words.compactMap(State.init(rawValue:)))
                if !words.allSatisfy({ State(rawValue: $0) != nil }) {
                    let known = State.allCases.map(\.rawValue).joined(separator: ", ")
                    reject(name, "choice", "must be one or more, separated by commas, of \(known)")
                }
            case "from", "to":
                guard let instant = InstantText.parse(value) else {
                    reject(name, "format", "must be an instant in RFC 3339 with a zone, such as 2027-03-16T13:00:00Z")
                    continue
                }
                if name == "from" { from = instant } else { to = instant }
            case "cursor":
                cursor = PageCursor(text: value)
                // What was not made by us must not reach the database: it may hold what no column can.
                let isOurs = cursor.map { isID($0.id) && abs($0.startsAt.timeIntervalSince1970) < 1e11 } ?? false
                if !isOurs { reject(name, "format", "must be the next_cursor of an earlier page") }
            default:
                reject(
                    String(name.prefix(50)), "unknown",
                    "is not a parameter here; there are cursor, from, limit, state, to")
            }
        }
        if let from, let to, from >= to { reject("to", "order", "must be later than from") }
        guard errors.isEmpty else {
            let names = Set(errors.map(\.pointer)).sorted().joined(separator: ", ")
            throw ProblemResponse(.malformedRequest, "The query has invalid parameters: \(names).", errors: errors)
        }
    }
}

/// Percent-encoding of RFC 3986.
enum PercentEncoding {
    /// A plus sign stands for itself, so that offsets like `+02:00` need no escaping.
    ///
    /// - Returns: nil if an escape is broken or the result is not UTF-8.
    static func decode(_ text: Substring) -> String? {
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
