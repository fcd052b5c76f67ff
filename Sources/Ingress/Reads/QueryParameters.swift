import Domain

/// The query part of a URL as names and values, each name once and one of those that the route knows.
struct QueryParameters {
    private(set) var values: [String: String] = [:]
    private var errors: [Problem.FieldError] = []

    /// - Parameter names: what the route knows.
    init(_ query: Substring?, names: Set<String>) {
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(parts[0]),
                let value = parts.count == 2 ? PercentEncoding.decode(parts[1]) : ""
            else {
                reject("query", "encoding", "a percent sign must be followed by two hex digits of UTF-8")
                continue
            }
            let shown = String(name.prefix(50))
            if !names.contains(name) {
                reject(
                    shown, "unknown", "is not a parameter here; there are \(names.sorted().joined(separator: ", "))")
            } else if values.updateValue(value, forKey: name) != nil {
                reject(shown, "repeated", "must be given once")
            }
        }
    }

    mutating func reject(_ name: String, _ code: String, _ detail: String) {
        errors.append(Problem.FieldError(pointer: name, code: code, detail: detail))
    }

    /// A number of things for one page.
    mutating func limit(_ range: ClosedRange<Int>, default standard: Int) -> Int {
        guard let text = values["limit"] else { return standard }
        guard let number = Int(text), range.contains(number) else {
            reject("limit", "range", "must be within \(range.lowerBound) to \(range.upperBound)")
            return standard
        }
        return number
    }

    /// A text of 1 to 200 characters, such as the id of a thing of any kind.
    mutating func text(_ name: String) -> String? {
        guard let text = values[name] else { return nil }
        guard (1...200).contains(text.unicodeScalars.count) else {
            reject(name, "length", "must have 1 to 200 characters")
            return nil
        }
        guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            reject(name, "format", "must have no control characters")
            return nil
        }
        return text
    }

    /// The cursor of a list that goes by numbers.
    mutating func number(_ name: String) -> Int? {
        guard let text = values[name] else { return nil }
        guard let number = Int(text), number > 0 else {
            reject(name, "format", "must be the next_cursor of an earlier page")
            return nil
        }
        return number
    }

    /// An identifier, such as the cursor of a list that goes by ids.
    mutating func identifier<Entity>(_ name: String, as type: Identifier<Entity>.Type) -> Identifier<Entity>? {
        guard let text = values[name] else { return nil }
        let identifier = Identifier<Entity>(rawValue: text)
        if identifier == nil { reject(name, "format", "must be the next_cursor of an earlier page") }
        return identifier
    }

    /// One or more words, separated by commas; empty if the parameter is not there.
    mutating func words<Word: RawRepresentable & CaseIterable & Hashable>(
        _ name: String, as type: Word.Type
    ) -> Set<Word> where Word.RawValue == String {
        guard let text = values[name] else { return [] }
        let words = text.split(separator: ",", omittingEmptySubsequences: false).map { Word(rawValue: String($0)) }
        if words.contains(nil) {
            let known = Word.allCases.map(\.rawValue).joined(separator: ", ")
            reject(name, "choice", "must be one or more, separated by commas, of \(known)")
        }
        return Set(words.compactMap(\.self))
    }

    /// `true` or `false`.
    mutating func flag(_ name: String) -> Bool {
        switch values[name] {
        case nil, "false"?: return false
        case "true"?: return true
        default:
            reject(name, "choice", "must be true or false")
            return false
        }
    }

    /// - Throws: `ProblemResponse` 400 that names every parameter that is wrong.
    func finish() throws(ProblemResponse) {
        guard !errors.isEmpty else { return }
        let names = Set(errors.map(\.pointer)).sorted().joined(separator: ", ")
        throw ProblemResponse(.malformedRequest, "The query has invalid parameters: \(names).", errors: errors)
    }
}
