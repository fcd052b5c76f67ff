import Domain
import Messaging
import Persistence

/// The bodies and queries of the routes for dead letters, read and checked.
enum LetterInput {
    struct Edit {
        /// Nil takes the present patch away.
        var patch: JSONPatch?
        var reason: String?
    }

    /// `{"patch": [...] or null, "reason": "..."}`; the patch leads from the original to the new body.
    static func edit(_ body: [UInt8]) throws -> Edit {
        var edit = Edit()
        let members = try members(body)
        var errors: [Problem.FieldError] = []
        guard let document = members["patch"] else {
            throw invalid([Problem.FieldError(pointer: "/patch", code: "required", detail: "must be given")])
        }
        if document != .null {
            do {
                edit.patch = try JSONPatch(document)
            } catch {
                errors.append(Problem.FieldError(pointer: "/patch", code: "format", detail: "\(error)"))
            }
            if edit.patch?.operations.isEmpty == true {
                errors.append(
                    Problem.FieldError(pointer: "/patch", code: "empty", detail: "must change something; null undoes"))
            }
        }
        var reader = ObjectReader(members.filter { $0.key != "patch" })
        edit.reason = reader.string("reason", length: 1_000, multiline: true)
        errors += reader.finish()
        guard errors.isEmpty else { throw invalid(errors) }
        return edit
    }

    /// `{"reason": "..."}`.
    static func reason(_ body: [UInt8], isRequired: Bool) throws -> String? {
        if body.isEmpty, !isRequired { return nil }
        var reader = ObjectReader(try members(body))
        let reason = reader.string("reason", isRequired ? .required : .optional, length: 1_000, multiline: true)
        let errors = reader.finish()
        guard errors.isEmpty else { throw invalid(errors) }
        return reason
    }

    private static func invalid(_ errors: [Problem.FieldError]) -> ProblemResponse {
        ProblemResponse(Problem.validation(errors))
    }

    private static func members(_ body: [UInt8]) throws -> [String: JSONValue] {
        let value: JSONValue
        do throws(JSONParser.Failure) {
            value = try JSONParser.parse(body)
        } catch {
            throw ProblemResponse(.malformedRequest, "The body is not JSON: \(error.reason), at byte \(error.offset).")
        }
        guard case .object(let members) = value else {
            throw invalid([
                Problem.FieldError(pointer: "", code: "type", detail: "must be an object, not \(value.kind)")
            ])
        }
        return members
    }

    // MARK: Queries

    struct List {
        var filter = DeadLetters.Filter()
        var cursor: DeadLetterID?
        var limit = 50
    }

    /// - Throws: `ProblemResponse` 400 that names every parameter that is wrong.
    static func list(_ query: Substring?) throws(ProblemResponse) -> List {
        var list = List()
        try parameters(
            query,
            known: [
                "cursor", "died_after", "died_before", "error_code", "fingerprint", "limit", "queue", "reason",
                "status",
                "text", "type",
            ]
        ) { name, value in
            switch name {
            case "limit":
                guard let number = Int(value), (1...200).contains(number) else { return "must be within 1 to 200" }
                list.limit = number
            case "cursor":
                guard let id = DeadLetterID(rawValue: value) else {
                    return "must be the next_cursor of an earlier page"
                }
                list.cursor = id
            case "status":
                if value == "all" {
                    list.filter.status = nil
                    return nil
                }
                guard let status = DeadLetter.Status(rawValue: value) else {
                    let known = DeadLetter.Status.allCases.map(\.rawValue).joined(separator: ", ")
                    return "must be one of \(known), all"
                }
                list.filter.status = status
            case "died_after", "died_before":
                guard let instant = InstantText.parse(value) else {
                    return "must be an instant in RFC 3339 with a zone"
                }
                if name == "died_after" { list.filter.diedAfter = instant } else { list.filter.diedBefore = instant }
            default:
                guard (1...200).contains(value.unicodeScalars.count), !value.unicodeScalars.contains("\0") else {
                    return "must have 1 to 200 characters"
                }
                switch name {
                case "queue": list.filter.queue = value
                case "type": list.filter.type = value
                case "reason": list.filter.reason = value
                case "error_code": list.filter.errorCode = value
                case "fingerprint": list.filter.fingerprint = value
                default: list.filter.text = value
                }
            }
            return nil
        }
        return list
    }

    /// The query of the list of groups: whether it includes resolved ones, and the limit.
    static func groups(_ query: Substring?) throws(ProblemResponse) -> (includesResolved: Bool, limit: Int) {
        var result = (includesResolved: false, limit: 50)
        try parameters(query, known: ["include_resolved", "limit"]) { name, value in
            if name == "limit" {
                guard let number = Int(value), (1...200).contains(number) else { return "must be within 1 to 200" }
                result.limit = number
            } else {
                guard let isIncluded = Bool(value) else { return "must be true or false" }
                result.includesResolved = isIncluded
            }
            return nil
        }
        return result
    }

    /// - Parameter take: says what is wrong with a value.
    private static func parameters(
        _ query: Substring?, known: [String], _ take: (String, String) -> String?
    ) throws(ProblemResponse) {
        var errors: [Problem.FieldError] = []
        var seen: Set<String> = []
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(parts[0]),
                let value = parts.count == 2 ? PercentEncoding.decode(parts[1]) : ""
            else {
                errors.append(
                    Problem.FieldError(
                        pointer: "query", code: "encoding",
                        detail: "a percent sign must be followed by two hex digits of UTF-8"))
                continue
            }
            let fault: String? =
                !known.contains(name)
                ? "is not a parameter here; there are \(known.joined(separator: ", "))"
                : seen.insert(name).inserted ? take(name, value) : "must be given once"
            if let fault {
                errors.append(Problem.FieldError(pointer: String(name.prefix(50)), code: "invalid", detail: fault))
            }
        }
        guard errors.isEmpty else {
            let names = Set(errors.map(\.pointer)).sorted().joined(separator: ", ")
            throw ProblemResponse(.malformedRequest, "The query has invalid parameters: \(names).", errors: errors)
        }
    }
}
