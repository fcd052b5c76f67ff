import ArgumentParser
import Domain
import Persistence

struct DeadLettersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead-letters", abstract: "What could not succeed: look, mend, replay, give up.",
        discussion: """
            Reads the journal in PostgreSQL that `neff worker dead-letters` writes. Looking at it never touches the broker. \
            Every act is in the operator log: `neff operator-log list --act dead_letter`.
            """,
        subcommands: [
            Groups.self, List.self, Show.self, Edit.self, ReplayCommand.self, Discard.self, Restore.self, Export.self,
            Import.self, Drain.self, Purge.self,
        ])
}

/// Ids of letters on the command line.
enum DeadLetterIdentifier {
    /// - Throws: `Failure`, if the text is none.
    static func read(_ text: String) throws -> DeadLetterID {
        guard let id = DeadLetterID(rawValue: text) else {
            throw Failure(.usage, "\(text) is not the id of a dead letter; `neff dead-letters list` shows them")
        }
        return id
    }
}

/// The options that say which letters are meant.
struct LetterSelection: ParsableArguments {
    @Option(help: "Only letters of this work queue.") var queue: String?
    @Option(help: "Only messages of this type.") var type: String?
    // Not --reason, which says why an operator acts.
    @Option(
        help: "Only letters that died of this: rejected, exhausted, undecodable, poison, delivery_limit, unrouted.")
    var deathReason: String?
    @Option(help: "Only letters with this error code, such as smtp.550.") var code: String?
    @Option(help: "Only letters of this group; `neff dead-letters groups` shows the fingerprints.") var fingerprint:
        String?
    @Option(help: "Only letters that died longer ago than this, such as 30m, 12h or 7d.") var olderThan: Span?
    @Option(help: "Only letters that died within this time.") var newerThan: Span?
    @Option(help: "Only letters with this text in the error or the body; case does not matter.") var text: String?
    @Option(
        help: ArgumentHelp(
            "Only letters in whose body this SQL/JSON path finds something.",
            discussion:
                "Such as '$.sequence > 3' or '$.payload.questions_and_answers[*].answer ? (@ like_regex \"Rd\")'."))
    var jsonPath: String?

    /// Whether nothing was said.
    var isEmpty: Bool {
        filter(status: nil) == DeadLetters.Filter(status: nil)
    }

    func filter(status: DeadLetter.Status?) -> DeadLetters.Filter {
        var filter = DeadLetters.Filter(queue: queue, type: type, status: status)
        filter.reason = deathReason
        filter.errorCode = code
        filter.fingerprint = fingerprint
        filter.diedBefore = olderThan?.ago()
        filter.diedAfter = newerThan?.ago()
        filter.text = text
        filter.jsonPath = jsonPath
        return filter
    }
}

extension DeadLetter.Status: ExpressibleByArgument {}
