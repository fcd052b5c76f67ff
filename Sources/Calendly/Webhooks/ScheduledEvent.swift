/// The time slot that an invitee booked, as it is embedded in an invitee's payload.
package struct ScheduledEvent: Codable, Hashable, Sendable {
    package var uri: String
    /// The event type's name when it was booked; hosts can edit it.
    package var name: String?
    /// `canceled` only once no invitee is active. What became of one person is the invitee's status.
    package var status: String?
    package var startTime: Timestamp
    package var endTime: Timestamp
    package var eventType: String?
    package var location: Location?
    package var inviteesCounter: InviteesCounter?
    package var createdAt: Timestamp?
    package var updatedAt: Timestamp?
    /// The hosts; more than one for collective and round-robin events.
    package var eventMemberships: [Membership]
    package var eventGuests: [Guest]
    package var cancellation: InviteePayload.Cancellation?
    package var meetingNotes: String?

    package struct InviteesCounter: Codable, Hashable, Sendable {
        /// Includes canceled invitees.
        package var total: Int?
        package var active: Int?
        package var limit: Int?
    }

    package struct Membership: Codable, Hashable, Sendable {
        package var user: String
        package var name: String?
        package var email: String?

        private enum CodingKeys: String, CodingKey {
            case user
            case name = "user_name"
            case email = "user_email"
        }

        package init(user: String, name: String? = nil, email: String? = nil) {
            self.user = user
            self.name = name
            self.email = email
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            user = try container.text(.user)
            name = container.optionalText(.name)
            email = container.optionalText(.email)
        }
    }

    package struct Guest: Codable, Hashable, Sendable {
        package var email: String

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            email = try container.text(.email)
        }

        private enum CodingKeys: String, CodingKey {
            case email
        }
    }

    /// Where the event is, or how people reach each other.
    package struct Location: Codable, Hashable, Sendable {
        /// `physical`, `ask_invitee`, `custom`, `outbound_call`, `inbound_call`, `zoom`, ...; an open set.
        package var type: String
        /// An address or a telephone number, depending on the type; conferences have none.
        package var location: String?
        package var additionalInfo: String?
        /// May still be nil when a booking of a conference is told.
        package var joinURL: String?

        private enum CodingKeys: String, CodingKey {
            case type, location
            case additionalInfo = "additional_info"
            case joinURL = "join_url"
        }

        package init(type: String, location: String? = nil, additionalInfo: String? = nil, joinURL: String? = nil) {
            self.type = type
            self.location = location
            self.additionalInfo = additionalInfo
            self.joinURL = joinURL
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            type = container.optionalText(.type) ?? ""
            location = container.optionalText(.location)
            additionalInfo = container.optionalText(.additionalInfo)
            joinURL = container.optionalText(.joinURL)
        }
    }

    private enum CodingKeys: String, CodingKey {
        case uri, name, status, location, cancellation
        case startTime = "start_time"
        case endTime = "end_time"
        case eventType = "event_type"
        case inviteesCounter = "invitees_counter"
        case createdAt = "created_at"
        case updatedAt = "updated_at"
        case eventMemberships = "event_memberships"
        case eventGuests = "event_guests"
        case meetingNotes = "meeting_notes_plain"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        uri = try container.text(.uri)
        name = container.optionalText(.name)
        status = container.optionalText(.status)
        startTime = try container.decode(Timestamp.self, forKey: .startTime)
        endTime = try container.decode(Timestamp.self, forKey: .endTime)
        guard startTime < endTime else {
            throw DecodingError.dataCorruptedError(
                forKey: .endTime, in: container, debugDescription: "not after start_time")
        }
        eventType = container.optionalText(.eventType)
        location = container.optional(Location.self, .location)
        inviteesCounter = container.optional(InviteesCounter.self, .inviteesCounter)
        createdAt = container.optional(Timestamp.self, .createdAt)
        updatedAt = container.optional(Timestamp.self, .updatedAt)
        eventMemberships = container.elements(of: Membership.self, .eventMemberships)
        eventGuests = container.elements(of: Guest.self, .eventGuests)
        cancellation = container.optional(InviteePayload.Cancellation.self, .cancellation)
        meetingNotes = container.optionalText(.meetingNotes)
    }
}
