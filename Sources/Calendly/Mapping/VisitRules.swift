package import Domain

/// What it takes to make a visit of ours from what Calendly says, beside the payload itself.
package struct VisitRules: Hashable, Sendable {
    /// The event types at Calendly that are a kind, by URI.
    package var eventTypes: [ConsultationKind: Set<String>]
    /// IANA name of the zone in which crews and customers on site read times. The invitee's own zone is only where they sat
    /// when they booked.
    package var siteTimeZone: String

    package init(eventTypes: [ConsultationKind: Set<String>] = [:], siteTimeZone: String = "America/New_York") {
        self.eventTypes = eventTypes
        self.siteTimeZone = siteTimeZone
    }

    /// Kinds by the word that gives them away in an event's name; if a name has several, the first here decides.
    private static let namedKinds: [ConsultationKind] = [.emergency, .commercial, .residential, .maintenance]

    /// The kind of an event: by its type's URI, else by a word of its name, else `triage`, which asks a person to look.
    package func kind(of event: ScheduledEvent) -> ConsultationKind {
        if let type = event.eventType {
            // In the order of the cases, so that a URI listed twice always gives the same kind.
            for kind in ConsultationKind.allCases where eventTypes[kind]?.contains(type) == true { return kind }
        }
        let words = Set((event.name ?? "").lowercased().split { !$0.isLetter }.map(String.init))
        return Self.namedKinds.first { words.contains($0.rawValue) } ?? .triage
    }
}

extension InviteePayload {
    /// Where the visit is: the event's place if that is an address, else the answer about the project's.
    package var visitAddress: String? {
        if let place = scheduledEvent.location, ["ask_invitee", "physical", "custom"].contains(place.type),
            let address = place.location?.nonBlank
        {
            guard let more = place.additionalInfo?.nonBlank else { return address }
            return address + "\n" + more
        }
        return Answers.mapped(questionsAndAnswers)[AnswerKey.projectAddress.rawValue]
    }

    /// Who booked. Telephone numbers are as typed: the one for text messages, else the one to call, else an answer.
    package var customer: Person {
        let splitName = [firstName, lastName].compactMap { $0?.nonBlank }.joined(separator: " ")
        let email = email?.nonBlank
        let calls = scheduledEvent.location.flatMap { $0.type == "outbound_call" ? $0.location?.nonBlank : nil }
        return Person(
            name: name?.nonBlank ?? splitName.nonBlank ?? email ?? "Unknown customer",
            email: email,
            phone: textReminderNumber?.nonBlank ?? calls
                ?? Answers.mapped(questionsAndAnswers)[AnswerKey.callbackNumber.rawValue])
    }

    /// The hosts at Calendly in its order.
    package var hosts: [ConsultationEvent.Host] {
        scheduledEvent.eventMemberships.map {
            ConsultationEvent.Host(user: $0.user, name: $0.name?.nonBlank, email: $0.email?.nonBlank)
        }
    }
}
