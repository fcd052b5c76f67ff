package import Foundation
import Synchronization

/// Everything that was sent in a run and what was answered: what the audit holds the program to.
package final class Record: Sendable {
    /// What a request asks for and what must come of it.
    package enum Subject: Sendable, Codable, Hashable {
        /// A webhook; the id follows from its content.
        case webhook(event: String, messageID: String)
        /// A write to the staff API.
        case operation(route: String, key: String)
    }

    /// One request until it was answered for good.
    package struct Request: Sendable, Codable {
        package let story: Int
        package let label: String
        package let subject: Subject
        package var sentAt: Date
        /// The status that ended it; nil if no answer was final.
        package var status: Int?
        /// Answers before that, and what went wrong instead of an answer.
        package var failures: [String] = []

        package var isAccepted: Bool { status.map { (200..<300).contains($0) } ?? false }
    }

    /// A customer and what must have become of their booking or job once every request was accepted.
    package struct Story: Sendable, Codable {
        package enum Expectation: Sendable, Codable, Hashable {
            case consultation(state: String, startsAt: Date)
            /// One job in that state if its creation succeeded; none if it failed.
            case job(state: String)
        }

        package let number: Int
        package let email: String
        package var expectation: Expectation
        /// Whether the mail server refuses this customer for good: no mail, one dead letter for each notice.
        package var isRefused = false
    }

    private struct State {
        var requests: [Request] = []
        var stories: [Int: Story] = [:]
        var refusedConnections = 0
        var troubles: [String] = []
    }
    private let state = Mutex(State())

    package init() {}

    package var requests: [Request] { state.withLock { $0.requests } }
    package var stories: [Story] { state.withLock { $0.stories.values.sorted { $0.number < $1.number } } }
    /// How often an ingress was not there and the other one was asked instead.
    package var refusedConnections: Int { state.withLock { $0.refusedConnections } }

    func expect(_ story: Story) {
        state.withLock { $0.stories[story.number] = story }
    }

    func add(_ request: Request) {
        state.withLock { $0.requests.append(request) }
    }

    func refused() {
        state.withLock { $0.refusedConnections += 1 }
    }

    /// Something that was no answer to a request and still should not have been.
    func trouble(_ text: String) {
        state.withLock { $0.troubles.append(text) }
    }

    package var troubles: [String] { state.withLock { $0.troubles } }

    /// Lines of JSON for whoever reads a failed run.
    func write(to file: URL) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        var data = Data()
        for request in requests {
            data += try encoder.encode(request)
            data.append(UInt8(ascii: "\n"))
        }
        try data.write(to: file)
    }
}
