/// Hides personal data in documents that operators look at.
///
/// It goes by what is known to be harmless, and hides every other text: vendors add fields without asking, and people write
/// names and numbers into any of them. Short numbers, booleans and the names of members are shown.
package enum PersonalData {
    /// Stands for a text that is hidden.
    package static let mark = "[hidden]"

    /// Members whose texts say what a message is, never who somebody is.
    private static let harmless: Set<String> = [
        "event", "type", "kind", "state", "status", "service", "priority", "source", "operation", "consultation", "job",
        "notification", "crew", "assignee", "resource", "time_zone", "timezone", "op", "path", "template",
        "merged_into", "schema", "code", "consumer", "queue", "format", "object",
    ]

    /// The document with hidden texts.
    package static func masked(_ value: JSONValue) -> JSONValue {
        masked(value, under: nil)
    }

    private static func masked(_ value: JSONValue, under name: String?) -> JSONValue {
        switch value {
        case .object(let members):
            // Below answers the names are customers' too, but they are the company's own questions.
            return .object(
                Dictionary(
                    members.map { member, value in
                        (member, masked(value, under: name == "answers" ? "answer" : member))
                    }, uniquingKeysWith: { first, _ in first }))
        case .array(let elements): return .array(elements.map { masked($0, under: name) })
        case .string(let text):
            // Questions are the company's own words; only what people answer is theirs.
            let isKnown = name.map { $0 == "question" || harmless.contains($0) && isWord(text) } ?? false
            return isKnown || isInstant(text) || isIdentifier(text) ? value : .string(mark)
        // Long numbers may be telephone numbers.
        case .number(let digits): return digits.count < 7 ? value : .string(mark)
        case .bool, .null: return value
        }
    }

    /// No sentence, no address: what a harmless member may show.
    private static func isWord(_ text: String) -> Bool {
        text.utf8.count <= 100
            && text.unicodeScalars.allSatisfy { scalar in
                scalar.isASCII
                    && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                        || "_-./:".unicodeScalars.contains(scalar))
            }
    }

    private static func isInstant(_ text: String) -> Bool {
        text.utf8.count >= 20 && text.utf8.count <= 35 && Instant.parse(text) != nil
    }

    /// One of ours, such as `con_01HX...` or `J-2027-00042`, or a resource of Calendly's API; links that let somebody act are neither.
    private static func isIdentifier(_ text: String) -> Bool {
        if text.hasPrefix("https://api.calendly.com/") { return !text.contains("?") && isWord(text) }
        if text.hasPrefix("J-"), text.dropFirst(2).allSatisfy({ $0 == "-" || $0.isNumber }) { return true }
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        return parts.count == 2 && (2...4).contains(parts[0].count) && parts[1].count == 26
            && parts[1].allSatisfy { $0.isASCII && ($0.isNumber || $0.isUppercase) }
    }
}

extension JSONPatch {
    /// The patch as a document, with personal data in its values hidden.
    package var masked: JSONValue {
        guard case .array(let entries) = json else { return json }
        return .array(
            entries.map { entry in
                guard case .object(var members) = entry, let value = members["value"],
                    case .string(let path)? = members["path"]
                else { return entry }
                // A value is masked as the member that it goes to.
                let name = JSONPointer(path)?.tokens.last ?? ""
                guard case .object(let shown) = PersonalData.masked(.object([name: value])) else { return .null }
                members["value"] = shown[name]
                return .object(members)
            })
    }
}
