import ArgumentParser
import Foundation
import Messaging
import Persistence
import Postgres

struct OperatorLogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operator-log", abstract: "Who did what to the running system, and whether that record is whole.",
        subcommands: [List.self, Verify.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List acts, the youngest first.")

        @Option(help: "Only acts of this person or key.") var actor: String?
        @Option(help: "Only acts on this letter, queue, campaign or other subject.") var subject: String?
        @Option(help: "Only acts whose name begins so, such as dead_letter.") var act: String?
        @Option(help: "At most this many, 1 to 500.") var limit = 50
        @Option(help: "Go on before this entry.") var before: Int?
        @Flag(help: "Print JSON.") var json = false

        func validate() throws {
            if !(1...500).contains(limit) { throw ValidationError("--limit must be 1 to 500") }
        }

        func run() async throws {
            let filter = OperatorLog.Filter(actor: actor, subject: subject, kindPrefix: act)
            let entries = try await Database.with("operator-log") { pool in
                try await OperatorLog.list(filter, before: before, limit: limit, on: pool)
            }
            if json {
                try Output.json(entries.map(EntryView.init))
                return
            }
            if entries.isEmpty {
                print("The operator log has no such entries.")
                return
            }
            var table = Table("ENTRY", "WHEN", "WHO", "ACT", "SUBJECT", "WHY")
            for entry in entries {
                table.add(
                    String(entry.id), Output.time(entry.at), entry.act.actor, entry.act.kind.rawValue,
                    entry.act.subject, entry.act.reason ?? "")
            }
            table.print()
            if entries.count == limit, let last = entries.last, last.id > 1 {
                print("More: neff operator-log list --before \(last.id)")
            }
        }
    }

    struct Verify: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Compute every hash again and name the first entry that was tampered with.",
            discussion: """
                Note the head that this prints somewhere else from time to time. With --head a later check also finds a log \
                whose end was cut off, or that was computed anew as a whole.
                """)

        @Option(help: "A head that was noted earlier; it must still be in the log.") var head: String?
        @Flag(help: "Print JSON.") var json = false

        func run() async throws {
            let verdict = try await Database.with("operator-log") { pool in
                try await OperatorLog.verify(notedHead: head, on: pool)
            }
            if json {
                try Output.json(VerdictView(verdict))
            } else {
                print(Self.line(verdict))
            }
            guard case .intact = verdict else { throw ExitCode(Failure.Code.findings.rawValue) }
        }

        private static func line(_ verdict: OperatorLog.Verdict) -> String {
            switch verdict {
            case .intact(0, _): "The operator log is empty."
            case .intact(let entries, let head):
                Terminal.green("All \(entries) entries are as they were written.") + "\nHead: \(head ?? "none")"
            case .broken(let id, let problem):
                Terminal.red("Entry \(id) was tampered with: \(problem). Nothing from there on can be believed.")
            case .headMissing(let entries):
                Terminal.red("The \(entries) entries agree with each other, but the noted head is not among them.")
            }
        }
    }
}

/// An entry as JSON.
private struct EntryView: Encodable {
    let id: Int
    let at: Date
    let actor: String
    let act: String
    let subject: String
    let reason: String?
    let details: Messaging.JSONValue?
    let hash: String

    init(_ entry: OperatorLogEntry) {
        id = entry.id
        at = entry.at
        actor = entry.act.actor
        act = entry.act.kind.rawValue
        subject = entry.act.subject
        reason = entry.act.reason
        details = try? JSONParser.parse(Array(entry.act.details.rawValue.utf8))
        hash = entry.hash
    }
}

private struct VerdictView: Encodable {
    var isIntact = false
    var entries: Int?
    var head: String?
    var brokenAt: Int?
    var problem: String?

    init(_ verdict: OperatorLog.Verdict) {
        switch verdict {
        case .intact(let entries, let head):
            isIntact = true
            self.entries = entries
            self.head = head
        case .broken(let id, let problem):
            brokenAt = id
            self.problem = problem
        case .headMissing(let entries):
            self.entries = entries
            problem = "the noted head is missing"
        }
    }
}
