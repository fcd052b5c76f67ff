import ArgumentParser
import Foundation
import Persistence

struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Tell the whole story of a message across all services.",
        discussion: """
            ID is a message's or a correlation's id, as log lines show them, or the id of a consultation, a job, an \
            operation, a notification or a dead letter. Times are UTC. Nothing of a customer's person is shown.

            Exit code 1 if nothing is known of the id.
            """)

    @Argument(help: "What to trace.") var id: String
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        if id.isEmpty || id.utf8.count > 255 {
            throw ValidationError("ID must have 1 to 255 characters")
        }
    }

    func run() async throws {
        let story = try await Database.with("trace") { pool in try await StoryReader.read(id, in: pool)
        }
        guard let story else {
            throw Failure(
                .findings,
                "nothing is known of \(id); its message may still be in the broker (`neff status`), or be older than the logs"
            )
        }
        if json { return try Output.json(story) }
        Self.show(story)
    }

    private static func show(_ story: Story) {
        print("Correlation: \(story.correlations.joined(separator: ", "))")
        if !story.traces.isEmpty { print("Traces: \(story.traces.joined(separator: ", "))") }
        print(
            "About: \(story.subjects.isEmpty ? "nothing yet" : story.subjects.joined(separator: ", "))")
        print()
        var table = Table("TIME", "SERVICE", "WHAT", "MESSAGE")
        for chapter in story.chapters where chapter.kind != .state {
            table.add(chapter.at.map(time) ?? "now", chapter.service, chapter.text, chapter.message ?? "")
        }
        // Ids are there to be copied, so nothing is cut.
        for line in table.lines(width: nil) { print(line) }
        print()
        for chapter in story.chapters where chapter.kind == .state { print("Now: \(chapter.text)") }
    }

    /// To the millisecond: what follows from one message often happens within a second.
    private static func time(_ date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
