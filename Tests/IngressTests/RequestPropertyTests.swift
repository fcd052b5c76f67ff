import Calendly
import Domain
import Foundation
import Messaging
import NIOCore
import Persistence
import TestSupport
import Testing

@testable import Ingress

/// What must hold for any request whatever; see `counterexample` for how to try more of them.
@Suite(.timeLimit(.minutes(60))) struct RequestPropertyTests {
    private static let tokens = [
        "{", "}", "[", "]", "\"", ":", ",", "\\u", "\\ud83d", "\\udea7", "null", "true", "0", "-1", "1e9", "1e400",
        "{}", "[]",
        "\"customer\"", "\"site\"", "\"starts_at\":", "\"duration_minutes\":", "\"~/\":1,", "\u{0}",
        "Mars/Olympus",
    ]

    private static let job = """
        {"customer":{"name":"Pat","email":"pat@example.com","phone":"+1 614 555 0142"},
         "site":{"address":"1 Main St","time_zone":"America/New_York"},"service":"patching","priority":"standard",
         "starts_at":"2027-03-16T08:00:00-04:00","duration_minutes":90,"crew":null,"notes":"Ring\\n\\"twice\\""}
        """

    private static func value(_ random: inout SeededGenerator, depth: Int = 3) -> JSONValue {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 5), using: &random) {
        case 0: .null
        case 1: .bool(random.oneIn(2))
        case 2: .number("\(random.integer())")
        case 3, 4: .string(random.text())
        case 5, 6: .array((0..<Int.random(in: 0...3, using: &random)).map { _ in value(&random, depth: depth - 1) })
        default:
            .object(
                Dictionary(
                    (0..<Int.random(in: 0...3, using: &random)).map { _ in
                        (random.text(maxScalars: 5), value(&random, depth: depth - 1))
                    }, uniquingKeysWith: { first, _ in first }))
        }
    }

    @Test func whatIsWrittenIsReadAgain() {
        let found = counterexample(in: 5_000) { random in
            let value = Self.value(&random)
            let bytes = value.encoded()
            guard try JSONParser.parse(bytes) == value else { return String(decoding: bytes, as: UTF8.self) }
            return (try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])) == nil
                ? "Foundation refuses \(String(decoding: bytes, as: UTF8.self).debugDescription)" : nil
        }
        #expect(found == nil)
    }

    /// The parser of the API, the scanner of the webhooks and Foundation's parser agree about what is JSON and what it says,
    /// but for what the documentation of each excepts.
    @Test func threeParsersAgree() {
        var (accepted, refused) = (0, 0)
        let found = counterexample(in: 4_000) { random in
            let whole = random.json(isObject: true)
            let bytes = random.oneIn(3) ? Array(whole.utf8) : random.damaged(Array(whole.utf8), tokens: Self.tokens)
            let text = String(decoding: bytes, as: UTF8.self).debugDescription
            var isScanned = true
            do throws(WebhookSummary.ParseError) { _ = try WebhookSummary.parse(bytes) } catch {
                if case .notJSON = error { isScanned = false }
            }
            let reference = try? JSONSerialization.jsonObject(with: Data(bytes), options: [.fragmentsAllowed])
            do throws(JSONParser.Failure) {
                let value = try JSONParser.parse(bytes)
                accepted += 1
                guard isScanned else { return "the scanner refuses \(text)" }
                // Numbers that no double holds.
                guard let reference else { return text.contains(#/[eE]\+?\d{3}/#) ? nil : "Foundation refuses \(text)" }
                return value.isSame(as: reference) ? nil : "\(value) is not \(reference) in \(text)"
            } catch {
                refused += 1
                guard isScanned else { return nil }
                return error.reason.contains("twice") || error.reason.contains("surrogate") ? nil : "\(error): \(text)"
            }
        }
        #expect(found == nil)
        #expect(accepted > 0 && refused > 0)
    }

    /// A damaged request is a job that the rules allow, or a problem of bounded size that says where the fault lies.
    @Test func damagedRequestsAreAnsweredWithAProblem() throws {
        var (accepted, malformed, invalid) = (0, 0, 0)
        let found = counterexample(in: 3_000) { random in
            let body = random.damaged(Array(Self.job.utf8), tokens: Self.tokens)
            let text = String(decoding: body, as: UTF8.self).debugDescription
            do {
                let request = try JobInput.create(body)
                accepted += 1
                let isRight =
                    !request.customer.name.isEmpty && TimeZone(identifier: request.site.timeZone) != nil
                    && request.durationMinutes.map(JobInput.duration.contains) ?? true
                return isRight ? nil : "taken: \(text)"
            } catch let response as ProblemResponse {
                let problem = response.problem
                if problem.status == 400 { malformed += 1 } else { invalid += 1 }
                guard problem.status == 400 || problem.status == 422 && !problem.errors.isEmpty,
                    problem.errors.allSatisfy({ $0.pointer.isEmpty || $0.pointer.hasPrefix("/") })
                else { return "\(problem): \(text)" }
                return try Self.wrongDocument(problem).map { "\($0): \(text)" }
            }
        }
        #expect(found == nil)
        #expect(accepted > 0 && malformed > 0 && invalid > 0)
    }

    @Test func aProblemStaysSmallHoweverMuchIsWrong() throws {
        let members = (0..<20_000).map { "\"field\($0)\":1" }.joined(separator: ",")
        let response = try #require(throws: ProblemResponse.self) { try JobInput.create(Array("{\(members)}".utf8)) }
        #expect(response.problem.status == 422)
        #expect(try Self.wrongDocument(response.problem) == nil)
    }

    /// What is wrong with the document that a problem becomes, if anything.
    private static func wrongDocument(_ problem: Problem) throws -> String? {
        let response = try ProblemDocument(problem, instance: "/v1/jobs", requestID: "r").response()
        let bytes = Array(response.body.readableBytesView)
        guard bytes.count < 64_000 else { return "\(bytes.count) bytes" }
        let object = try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
        let fields = object?["errors"] as? [[String: Any]] ?? []
        return object?["status"] as? Int == problem.status && fields.count == problem.errors.count ? nil : "\(problem)"
    }

    // MARK: - Queries

    @Test func percentEscapesMeanWhatFoundationSays() {
        let found = counterexample(in: 10_000) { random in
            let plain = random.text()
            guard let escaped = plain.addingPercentEncoding(withAllowedCharacters: .alphanumerics) else { return nil }
            guard PercentEncoding.decode(escaped[...])?.utf8.elementsEqual(plain.utf8) == true else { return escaped }
            let text = String(
                decoding: random.damaged(Array(escaped.utf8), tokens: ["%", "%C3%A9", "%ff", "+", "%00", "%EF%BB%BF"]),
                as: UTF8.self
            )
            // Foundation agrees, save that it drops a byte order mark at the start, which RFC 3986 knows nothing of, and
            // sometimes puts a replacement character where the bytes are not UTF-8, which we refuse.
            let decoded = PercentEncoding.decode(text[...]).map { Array($0.utf8) }
            let mark = "\u{FEFF}".utf8
            let reference = text.removingPercentEncoding.map { Array($0.utf8) }
            if decoded == reference { return nil }
            guard let decoded else { return reference?.contains("\u{FFFD}".utf8) == true ? nil : text }
            guard let reference, decoded.starts(with: mark) else { return text }
            return Array(decoded.dropFirst(mark.count)) == reference ? nil : text
        }
        #expect(found == nil)
    }

    /// Any query is read within the limits or refused with a problem; one that was written is read as it was meant.
    @Test func queriesAreReadOrRefused() {
        let states = JobState.allCases
        var (accepted, refused) = (0, 0)
        let found = counterexample(in: 5_000) { random in
            let limit = Int.random(in: 1...200, using: &random)
            let state = random.pick(states)
            let cursor = PageCursor(
                startsAt: Date(timeIntervalSince1970: Double(Int64.random(in: 0...4_000_000_000, using: &random))),
                id: "id" + random.text())
            let query = [
                "limit=\(limit)", "state=\(state.rawValue)", "from=2027-03-16T08:00:00-04:00",
                "to=2027-03-17T08%3A00:00Z",
                "cursor=\(cursor.text)",
            ].shuffled(using: &random).joined(separator: "&")
            let whole = try ListParameters<JobState>(query[...]) { _ in true }
            guard whole.limit == limit, whole.states == [state], whole.cursor == cursor else { return query }
            let tokens = ["&", "=", "%", "%2", "limit=", "cursor=", "state=,", "&&", "0", "-", "a%20b=1&", "\u{0}"]
            let damaged = String(decoding: random.damaged(Array(query.utf8), tokens: tokens), as: UTF8.self)
            do throws(ProblemResponse) {
                let read = try ListParameters<JobState>(damaged[...]) { _ in true }
                accepted += 1
                let isOrdered = read.from.flatMap { from in read.to.map { from < $0 } } ?? true
                // What has been read can be written into the next page's address.
                return (1...200).contains(read.limit) && isOrdered
                    && read.cursor.map { PageCursor(text: $0.text) == $0 } ?? true
                    ? nil : "\(read): \(damaged)"
            } catch {
                refused += 1
                guard error.problem.status == 400, !error.problem.errors.isEmpty else { return "\(error): \(damaged)" }
                return try Self.wrongDocument(error.problem).map { "\($0): \(damaged)" }
            }
        }
        #expect(found == nil)
        #expect(accepted > 0 && refused > 0)
    }
}

extension JSONValue {
    /// Whether Foundation read the same.
    fileprivate func isSame(as reference: Any) -> Bool {
        switch self {
        case .null: reference is NSNull
        case .bool(let value): reference as? Bool == value
        case .number(let text):
            (reference as? NSNumber).map { abs($0.doubleValue - (Double(text) ?? .nan)) <= abs($0.doubleValue) * 1e-12 }
                ?? false
        case .string(let text): (reference as? String)?.utf8.elementsEqual(text.utf8) ?? false
        case .array(let values):
            (reference as? [Any]).map { $0.count == values.count && zip(values, $0).allSatisfy { $0.isSame(as: $1) } }
                ?? false
        case .object(let members):
            (reference as? [String: Any]).map { object in
                object.count == members.count
                    && members.allSatisfy { name, value in object[name].map(value.isSame) ?? false }
            } ?? false
        }
    }
}
