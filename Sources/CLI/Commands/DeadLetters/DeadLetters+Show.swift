import ArgumentParser
import Domain
import Foundation
import Messaging
import Persistence
import Postgres
import Settings
import WorkerRuntime

extension DeadLettersCommand {
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one letter: why it died, every attempt, what it is about, and what a replay would do.",
            discussion: """
                Personal data in the body is hidden unless --reveal is given, which is recorded in the operator log. To \
                say what a replay would do, the present handler runs on the letter in a transaction that is undone; \
                nothing is sent. That takes the rights of the workers: NEFF_REHEARSAL_DATABASE_URL names a log-in that has \
                them.
                """)

        @Argument(help: "The letter's id.") var id: String
        @Flag(help: "Show names, addresses, answers and the like.") var reveal = false
        @Flag(help: "Show the original body, without the patch.") var original = false
        @Flag(help: "Do not run the handler.") var noRehearsal = false
        @Flag(help: "Run the handler even if the message may kill this process.") var runSuspects = false
        @OptionGroup var who: OperatorOptions
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let id = try DeadLetterIdentifier.read(id)
            let settings = try Settings.load()
            let (letter, facts, verdict) = try await Database.with("dead-letters") { pool in
                guard let letter = try await DeadLetters.find(id, on: pool) else {
                    throw Failure(.data, "There is no dead letter \(id).")
                }
                if reveal {
                    try await pool.withTransaction { transaction in
                        try await OperatorLog.append(
                            OperatorAct(actor: who.actor, kind: .revealLetter, subject: id.rawValue), in: transaction)
                    }
                }
                let facts = try await LetterFacts.read(for: letter, on: pool)
                return (letter, facts, try await self.verdict(on: letter, facts, settings))
            }
            let body = try body(of: letter)
            if json {
                try Output.json(
                    DetailView(
                        letter: LetterView(letter), subject: facts.subject.map(SubjectView.init),
                        verdict: VerdictView(verdict), patch: patch(of: letter), body: body.value,
                        bodyBase64: reveal ? Data(body.bytes).base64EncodedString() : nil, bodyBytes: body.bytes.count))
            } else {
                printReport(letter, facts, verdict)
                if let patch = patch(of: letter) { print("\nPatch\n\(Output.plain(patch.pretty(), keepsLines: true))") }
                print("\nBody\(letter.patch != nil && !original ? ", with the patch" : "")")
                let text =
                    body.value?.pretty()
                    ?? (reveal
                        ? String(decoding: body.bytes, as: UTF8.self)
                        : "\(body.bytes.count) bytes that are not JSON; --reveal prints them")
                print(Output.plain(text, keepsLines: true))
            }
        }

        private func verdict(
            on letter: DeadLetter, _ facts: LetterFacts, _ settings: Settings
        ) async throws -> ReplayVerdict {
            if let verdict = facts.verdict { return verdict }
            if noRehearsal { return .unknown("it was not tried") }
            let handlers = try RehearsalHandlers.make(settings)
            let hasOwnLogIn = try settings.optional(Keys.rehearsalDatabaseURL) != nil
            do {
                return try await Database.with(
                    "rehearsal", at: hasOwnLogIn ? Keys.rehearsalDatabaseURL : Keys.databaseURL
                ) { pool in
                    await LetterRehearsal(pool: pool, handlers: handlers).verdict(
                        on: letter, facts, runsSuspects: runSuspects)
                }
            } catch let error as PostgresError {
                return .unknown("it could not be tried: \(error)")
            }
        }

        /// The bytes to show, and the document they are, with personal data hidden unless it was asked for.
        private func body(of letter: DeadLetter) throws -> (bytes: [UInt8], value: Messaging.JSONValue?) {
            let bytes = original ? letter.body : (try? letter.effectiveBody()) ?? letter.body
            let value = try? JSONParser.parse(bytes)
            return (bytes, reveal ? value : value.map(PersonalData.masked))
        }

        private func patch(of letter: DeadLetter) -> Messaging.JSONValue? {
            letter.patch.map { reveal ? $0.json : $0.masked }
        }

        private func printReport(_ letter: DeadLetter, _ facts: LetterFacts, _ verdict: ReplayVerdict) {
            func line(_ name: String, _ text: String) {
                print(name + String(repeating: " ", count: max(1, 13 - name.count)) + Output.plain(text))
            }
            func place(_ exchange: String) -> String { exchange.isEmpty ? "the default exchange" : exchange }
            line("Letter", "\(letter.id) (\(letter.status.rawValue))")
            line("Message", "\(letter.messageID), \(letter.type)")
            line("Correlation", letter.correlationID ?? "none")
            if let exchange = letter.originalExchange {
                line("Published", "to \(place(exchange)), key \(letter.originalRoutingKey ?? "")")
            }
            line("Queue", "\(letter.queue); a replay goes to \(place(letter.exchange)), key \(letter.routingKey)")
            line("Died", "\(Output.time(letter.diedAt)) (\(Output.age(since: letter.diedAt)) ago), \(letter.reason)")
            line("Why", "\(letter.errorCode ?? letter.reason): \(letter.errorText ?? "no text")")
            line(
                "Group",
                "\(letter.fingerprint ?? "none"), \(letter.handler ?? "unknown"), build \(letter.build ?? "unknown")")
            if let subject = facts.subject {
                line(
                    "About",
                    "\(subject.kind) \(subject.number.map { "\($0) " } ?? "")\(subject.id), \(subject.state), change \(subject.sequence), \(Output.time(subject.startsAt)) to \(Output.time(subject.endsAt))"
                )
            }
            line("A replay", "\(verdict.name): \(verdict.explanation)")
            line("Replays", "\(letter.replayCount)")
            line("Attempts", "\(letter.attemptCount)")
            for attempt in letter.attempts {
                let text = "\(attempt.worker)  \(attempt.code): \(attempt.detail)"
                print("  \(Output.time(attempt.at))  \(Output.plain(text))")
            }
            if let campaign = letter.campaignID { line("Campaign", campaign) }
            if let patchedAt = letter.patchedAt {
                line(
                    "Edited",
                    "\(Output.time(patchedAt)) by \(letter.patchedBy ?? "?")\(letter.patchReason.map { ": \($0)" } ?? "")"
                )
            }
            if let resolvedAt = letter.resolvedAt {
                line(
                    "Resolved",
                    "\(Output.time(resolvedAt)) by \(letter.resolvedBy ?? "?")\(letter.resolutionReason.map { ": \($0)" } ?? "")"
                )
            }
        }
    }
}

private struct DetailView: Encodable {
    let letter: LetterView
    let subject: SubjectView?
    let verdict: VerdictView
    let patch: Messaging.JSONValue?
    /// Null if the body is not JSON.
    let body: Messaging.JSONValue?
    let bodyBase64: String?
    let bodyBytes: Int
}

private struct SubjectView: Encodable {
    let kind: String
    let id: String
    let number: String?
    let state: String
    let sequence: Int
    let startsAt: Date
    let endsAt: Date

    init(_ subject: LetterFacts.Subject) {
        kind = subject.kind
        id = subject.id
        number = subject.number
        state = subject.state
        sequence = subject.sequence
        startsAt = subject.startsAt
        endsAt = subject.endsAt
    }
}

private struct VerdictView: Encodable {
    let verdict: String
    let explanation: String

    init(_ verdict: ReplayVerdict) {
        self.verdict = verdict.name
        explanation = verdict.explanation
    }
}
