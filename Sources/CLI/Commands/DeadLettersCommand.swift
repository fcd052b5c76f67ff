import ArgumentParser
import Domain
import Foundation
import Messaging
import Persistence
import Postgres

struct DeadLettersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters", abstract: "What could not succeed: look, replay, give up.",
        discussion: """
            Reads the journal in PostgreSQL that `neff worker dead-letters` writes. Looking at it never touches the broker.
            """,
        subcommands: [List.self, Show.self, ReplayCommand.self, Discard.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List letters, the youngest first.")

        @Option(help: "Only letters of this work queue.") var queue: String?
        @Option(help: "Only messages of this type.") var type: String?
        @Flag(help: "Also those that were replayed or discarded.") var all = false
        @Option(help: "At most this many, 1 to 500.") var limit = 50
        @Option(help: "Go on after this letter.") var after: String?
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if !(1...500).contains(limit) { throw ValidationError("--limit must be 1 to 500") }
        }

        func run() async throws {
            let filter = DeadLetters.Filter(queue: queue, type: type, status: all ? nil : .dead)
            let cursor = try after.map(Identifiers.read)
            let page = try await Database.with("dead-letters") { pool in
                try await DeadLetters.list(filter, after: cursor, limit: limit, on: pool)
            }
            if json {
                try Output.json(page.letters.map(LetterView.init))
                return
            }
            if page.letters.isEmpty {
                print("There are no dead letters.")
                return
            }
            var table = Table("ID", "QUEUE", "TYPE", "DIED", "TRIES", "STATE", "WHY")
            for letter in page.letters {
                table.add(
                    letter.id.rawValue, letter.queue, letter.type, Output.time(letter.diedAt),
                    String(letter.attemptCount),
                    letter.status.rawValue, letter.errorCode ?? letter.reason)
            }
            table.print()
            if let next = page.next { print("More: neff dead-letters list --after \(next)") }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one letter: why it died, every attempt, and its body.",
            discussion: "The body may hold personal data; it is shown only with --body.")

        @Argument(help: "The letter's id.") var id: String
        @Flag(help: "Also print the body, as it came.") var body = false
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let id = try Identifiers.read(id)
            let letter = try await Database.with("dead-letters") { pool in try await DeadLetters.find(id, on: pool) }
            guard let letter else { throw Failure(.data, "There is no dead letter \(id).") }
            if json {
                try Output.json(LetterView(letter))
                return
            }
            print("Letter       \(letter.id) (\(letter.status.rawValue))")
            print("Message      \(letter.messageID), \(letter.type)")
            print("Correlation  \(letter.correlationID ?? "none")")
            print(
                "Queue        \(letter.queue) (came through \(letter.exchange.isEmpty ? "the default exchange" : letter.exchange), key \(letter.routingKey))"
            )
            print("Died         \(Output.time(letter.diedAt)), \(letter.reason)")
            print("Why          \(letter.errorCode ?? "unknown"): \(letter.errorText ?? "no text")")
            print("Replays      \(letter.replayCount)")
            print("Attempts     \(letter.attemptCount)")
            for attempt in letter.attempts {
                print("  \(Output.time(attempt.at))  \(attempt.worker)  \(attempt.code): \(attempt.detail)")
            }
            if let resolvedAt = letter.resolvedAt {
                print(
                    "Resolved     \(Output.time(resolvedAt)) by \(letter.resolvedBy ?? "?"): \(letter.resolutionReason ?? "")"
                )
            }
            if body { print("\n" + String(decoding: letter.body, as: UTF8.self)) }
        }
    }

    struct Discard: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give letters up. They stay in the journal with the reason.")

        @Argument(help: "Ids of letters.") var ids: [String]
        @Option(help: "Why; kept in the journal.") var reason: String

        func run() async throws {
            let ids = try ids.map(Identifiers.read)
            let discarded = try await Database.with("dead-letters") { pool in
                try await DeadLetters.discard(ids, reason: reason, by: Operator.name, on: pool)
            }
            for id in discarded { print("discarded \(id)") }
            let rest = Set(ids).subtracting(discarded)
            for id in rest.sorted() { print("passed    \(id): there is no such letter, or it is not dead any more") }
            if !rest.isEmpty { throw ExitCode(Failure.Code.findings.rawValue) }
        }
    }
}

private enum Identifiers {
    static func read(_ text: String) throws -> DeadLetterID {
        guard let id = DeadLetterID(rawValue: text) else {
            throw Failure(.usage, "\(text) is not the id of a dead letter; `neff dead-letters list` shows them")
        }
        return id
    }
}

/// Who acts at this terminal.
private enum Operator {
    static var name: String { ProcessInfo.processInfo.environment["SUDO_USER"] ?? NSUserName() }
}

/// A letter as JSON, without its body.
private struct LetterView: Encodable {
    let id: DeadLetterID
    let queue: String
    let type: String
    let messageId: String
    let correlationId: String?
    let reason: String
    let errorCode: String?
    let errorText: String?
    let attempts: [Envelope.Attempt]
    let attemptCount: Int
    let replayCount: Int
    let diedAt: Date
    let status: String

    init(_ letter: DeadLetter) {
        id = letter.id
        queue = letter.queue
        type = letter.type
        messageId = letter.messageID
        correlationId = letter.correlationID
        reason = letter.reason
        errorCode = letter.errorCode
        errorText = letter.errorText
        attempts = letter.attempts
        attemptCount = letter.attemptCount
        replayCount = letter.replayCount
        diedAt = letter.diedAt
        status = letter.status.rawValue
    }
}
