package import Foundation

/// What the database knows of everything that follows from one outside event, or of everything about one thing.
package struct Story: Codable, Hashable, Sendable {
    /// What was asked for.
    package var id: String
    /// The ids that are common to all that one webhook or request has led to. Log lines carry them as
    /// `message.correlation_id`, so each of them finds the same story in the logs.
    package var correlations: [String]
    /// The traces that a tracing backend knows, as far as spans were kept.
    package var traces: [String]
    /// The consultations and jobs that it is about.
    package var subjects: [String]
    /// In the order of time.
    package var chapters: [Chapter]

    package init(id: String) {
        self.id = id
        correlations = []
        traces = []
        subjects = []
        chapters = []
    }

    /// One thing that happened, or how one thing stands.
    package struct Chapter: Codable, Hashable, Sendable {
        /// Nil where no time was kept.
        package var at: Date?
        package var kind: Kind
        /// Which part of the system: `ingress`, `sync`, `scheduling`, `notification`, `relay`.
        package var service: String
        /// One line without personal data.
        package var text: String
        package var message: String?
        package var correlation: String?
        package var trace: String?
        package var subject: String?

        private enum CodingKeys: String, CodingKey {
            case at, kind, service, text, message, correlation, trace, subject
        }

        package init(
            at: Date?, kind: Kind, service: String, text: String, message: String? = nil,
            correlation: String? = nil,
            trace: String? = nil, subject: String? = nil
        ) {
            self.at = at
            self.kind = kind
            self.service = service
            self.text = text
            self.message = message
            self.correlation = correlation
            self.trace = trace
            self.subject = subject
        }
    }

    /// Where a chapter was read.
    package enum Kind: String, Codable, CaseIterable, Sendable {
        /// An outside event reached us.
        case received
        /// A request to the API, and its answer.
        case operation
        /// Waits in the database until the broker has confirmed it.
        case spooled, outbox
        /// A worker committed the effect of a message.
        case handled
        /// A line of the change log.
        case change
        case notification
        case deadLetter = "dead_letter"
        /// How a consultation or a job stands now.
        case state
    }
}
