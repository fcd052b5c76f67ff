package import Foundation

/// What Calendly says of one invitee: the payload of `invitee.*` and `invitee_no_show.*`.
///
/// An invitee is one person's booking of one event. Its URI is the booking's identity; the event's URI is that of the time
/// slot, which several invitees of a group event share.
package struct InviteePayload: Codable, Hashable, Sendable {
    package var uri: String
    package var name: String?
    package var firstName: String?
    package var lastName: String?
    package var email: String?
    package var status: Status
    package var questionsAndAnswers: [QuestionAndAnswer]
    /// The zone that the invitee looked at times in; not that of the site.
    package var timezone: String?
    package var createdAt: Timestamp?
    package var updatedAt: Timestamp?
    package var tracking: Tracking?
    /// As typed, so not strictly E.164.
    package var textReminderNumber: String?
    /// True on the old invitee of a reschedule only.
    package var rescheduled: Bool
    /// On the new invitee of a reschedule: the one that it replaces.
    package var oldInvitee: String?
    /// On the old invitee of a reschedule: the one that replaces it.
    package var newInvitee: String?
    package var cancelURL: String?
    package var rescheduleURL: String?
    package var routingFormSubmission: String?
    package var cancellation: Cancellation?
    package var payment: Payment?
    package var noShow: NoShow?
    package var reconfirmation: Reconfirmation?
    /// `instant_book` or `api`; an open set.
    package var schedulingMethod: String?
    /// The user at Calendly who booked on the invitee's behalf.
    package var inviteeScheduledBy: String?
    package var scheduledEvent: ScheduledEvent

    /// Of this invitee, not of the event.
    package enum Status: Hashable, Sendable, RawRepresentable, Codable {
        case active, canceled
        case unknown(String)

        package init(rawValue: String) {
            switch rawValue {
            case "active": self = .active
            case "canceled": self = .canceled
            default: self = .unknown(rawValue)
            }
        }

        package var rawValue: String {
            switch self {
            case .active: "active"
            case .canceled: "canceled"
            case .unknown(let text): text
            }
        }
    }

    package struct QuestionAndAnswer: Codable, Hashable, Sendable {
        package var question: String
        /// Checkbox answers are joined by newlines.
        package var answer: String
        /// Of no use to find an answer by: hosts reorder questions.
        package var position: Int?

        package init(question: String, answer: String, position: Int? = nil) {
            self.question = question
            self.answer = answer
            self.position = position
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            question = try container.text(.question)
            answer = container.optionalText(.answer) ?? ""
            position = container.optional(Int.self, .position)
        }
    }

    /// The parts of the booking page's URL that Calendly keeps.
    package struct Tracking: Codable, Hashable, Sendable {
        package var campaign: String?
        package var source: String?
        package var medium: String?
        package var content: String?
        package var term: String?
        package var salesforce: String?

        private enum CodingKeys: String, CodingKey {
            case campaign = "utm_campaign"
            case source = "utm_source"
            case medium = "utm_medium"
            case content = "utm_content"
            case term = "utm_term"
            case salesforce = "salesforce_uuid"
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            campaign = container.optionalText(.campaign)
            source = container.optionalText(.source)
            medium = container.optionalText(.medium)
            content = container.optionalText(.content)
            term = container.optionalText(.term)
            salesforce = container.optionalText(.salesforce)
        }
    }

    package struct Cancellation: Codable, Hashable, Sendable {
        /// A display name.
        package var canceledBy: String?
        package var reason: String?
        /// `host` or `invitee`; an open set.
        package var cancelerType: String?
        package var createdAt: Timestamp?

        private enum CodingKeys: String, CodingKey {
            case canceledBy = "canceled_by"
            case reason
            case cancelerType = "canceler_type"
            case createdAt = "created_at"
        }

        package init(
            canceledBy: String? = nil, reason: String? = nil, cancelerType: String? = nil, createdAt: Timestamp? = nil
        ) {
            self.canceledBy = canceledBy
            self.reason = reason
            self.cancelerType = cancelerType
            self.createdAt = createdAt
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            canceledBy = container.optionalText(.canceledBy)
            reason = container.optionalText(.reason)
            cancelerType = container.optionalText(.cancelerType)
            createdAt = container.optional(Timestamp.self, .createdAt)
        }
    }

    package struct Payment: Codable, Hashable, Sendable {
        package var externalID: String?
        package var provider: String?
        /// In major units, such as dollars. Calendly sends a number in some versions of its schema and a string in others.
        package var amount: Decimal?
        /// ISO 4217 code in upper case; an open set.
        package var currency: String?
        package var terms: String?
        package var successful: Bool?

        private enum CodingKeys: String, CodingKey {
            case externalID = "external_id"
            case provider, amount, currency, terms, successful
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            externalID = container.optionalText(.externalID)
            provider = container.optionalText(.provider)
            amount =
                container.optional(Decimal.self, .amount)
                ?? container.optionalText(.amount).flatMap {
                    Decimal(string: $0, locale: Locale(identifier: "en_US_POSIX"))
                }
            currency = container.optionalText(.currency)
            terms = container.optionalText(.terms)
            successful = container.optional(Bool.self, .successful)
        }

        package func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encodeIfPresent(externalID, forKey: .externalID)
            try container.encodeIfPresent(provider, forKey: .provider)
            // As text, so that no reader on the way makes a double of it.
            try container.encodeIfPresent(amount?.description, forKey: .amount)
            try container.encodeIfPresent(currency, forKey: .currency)
            try container.encodeIfPresent(terms, forKey: .terms)
            try container.encodeIfPresent(successful, forKey: .successful)
        }
    }

    /// A host's mark that the invitee did not come.
    package struct NoShow: Codable, Hashable, Sendable {
        package var uri: String?
        package var createdAt: Timestamp?

        private enum CodingKeys: String, CodingKey {
            case uri
            case createdAt = "created_at"
        }

        package init(uri: String? = nil, createdAt: Timestamp? = nil) {
            self.uri = uri
            self.createdAt = createdAt
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            uri = container.optionalText(.uri)
            createdAt = container.optional(Timestamp.self, .createdAt)
        }
    }

    package struct Reconfirmation: Codable, Hashable, Sendable {
        package var createdAt: Timestamp?
        package var confirmedAt: Timestamp?

        private enum CodingKeys: String, CodingKey {
            case createdAt = "created_at"
            case confirmedAt = "confirmed_at"
        }
    }

    private enum CodingKeys: String, CodingKey {
        case uri, name, email, status, timezone, tracking, rescheduled, cancellation, payment, reconfirmation
        case firstName = "first_name"
        case lastName = "last_name"
        case questionsAndAnswers = "questions_and_answers"
        case createdAt = "created_at"
        case updatedAt = "updated_at"
        case textReminderNumber = "text_reminder_number"
        case oldInvitee = "old_invitee"
        case newInvitee = "new_invitee"
        case cancelURL = "cancel_url"
        case rescheduleURL = "reschedule_url"
        case routingFormSubmission = "routing_form_submission"
        case noShow = "no_show"
        case schedulingMethod = "scheduling_method"
        case inviteeScheduledBy = "invitee_scheduled_by"
        case scheduledEvent = "scheduled_event"
    }

    /// - Throws: `DecodingError` with the path of what is missing; only the invitee's URI and the event's URI and times are
    ///   required, since nothing can be done without them.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        uri = try container.text(.uri)
        guard !uri.isEmpty else {
            throw DecodingError.dataCorruptedError(forKey: .uri, in: container, debugDescription: "empty")
        }
        name = container.optionalText(.name)
        firstName = container.optionalText(.firstName)
        lastName = container.optionalText(.lastName)
        email = container.optionalText(.email)
        status = Status(rawValue: container.optionalText(.status) ?? "")
        questionsAndAnswers = container.elements(of: QuestionAndAnswer.self, .questionsAndAnswers)
        timezone = container.optionalText(.timezone)
        createdAt = container.optional(Timestamp.self, .createdAt)
        updatedAt = container.optional(Timestamp.self, .updatedAt)
        tracking = container.optional(Tracking.self, .tracking)
        textReminderNumber = container.optionalText(.textReminderNumber)
        rescheduled = container.optional(Bool.self, .rescheduled) ?? false
        oldInvitee = container.optionalText(.oldInvitee)?.nonBlank
        newInvitee = container.optionalText(.newInvitee)?.nonBlank
        cancelURL = container.optionalText(.cancelURL)
        rescheduleURL = container.optionalText(.rescheduleURL)
        routingFormSubmission = container.optionalText(.routingFormSubmission)
        cancellation = container.optional(Cancellation.self, .cancellation)
        payment = container.optional(Payment.self, .payment)
        noShow = container.optional(NoShow.self, .noShow)
        reconfirmation = container.optional(Reconfirmation.self, .reconfirmation)
        schedulingMethod = container.optionalText(.schedulingMethod)
        inviteeScheduledBy = container.optionalText(.inviteeScheduledBy)
        scheduledEvent = try container.decode(ScheduledEvent.self, forKey: .scheduledEvent)
    }
}

extension InviteePayload {
    /// The same text for equal payloads: JSON with sorted keys.
    package var canonicalText: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Only non-conforming floating-point numbers can make encoding fail, and there are none.
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
