/// What somebody answered in a routing form, whether or not they booked afterwards.
package struct RoutingFormSubmission: Codable, Hashable, Sendable {
    package var uri: String
    package var routingForm: String?
    package var questionsAndAnswers: [InviteePayload.QuestionAndAnswer]
    package var result: Result?
    /// The invitee, if a booking followed.
    package var submitter: String?
    package var createdAt: Timestamp?
    package var updatedAt: Timestamp?

    /// Where the form sent them.
    package enum Result: Codable, Hashable, Sendable {
        /// - Parameter uri: of an event type.
        case eventType(uri: String)
        case externalURL(String)
        case customMessage
        case unknown(type: String)

        private enum CodingKeys: String, CodingKey {
            case type, value
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            let type = container.optionalText(.type) ?? ""
            switch (type, container.optionalText(.value)) {
            case ("event_type", let value?): self = .eventType(uri: value)
            case ("external_url", let value?): self = .externalURL(value)
            case ("custom_message", _): self = .customMessage
            default: self = .unknown(type: type)
            }
        }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            switch self {
            case .eventType(let uri):
                try container.encode("event_type", forKey: .type)
                try container.encode(uri, forKey: .value)
            case .externalURL(let url):
                try container.encode("external_url", forKey: .type)
                try container.encode(url, forKey: .value)
            case .customMessage: try container.encode("custom_message", forKey: .type)
            case .unknown(let type): try container.encode(type, forKey: .type)
            }
        }
    }

    private enum CodingKeys: String, CodingKey {
        case uri, result, submitter
        case routingForm = "routing_form"
        case questionsAndAnswers = "questions_and_answers"
        case createdAt = "created_at"
        case updatedAt = "updated_at"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        uri = try container.text(.uri)
        routingForm = container.optionalText(.routingForm)
        questionsAndAnswers = container.elements(of: InviteePayload.QuestionAndAnswer.self, .questionsAndAnswers)
        result = container.optional(Result.self, .result)
        submitter = container.optionalText(.submitter)
        createdAt = container.optional(Timestamp.self, .createdAt)
        updatedAt = container.optional(Timestamp.self, .updatedAt)
    }
}
