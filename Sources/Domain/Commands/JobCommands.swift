package import Foundation

/// What a staff member asks for when creating a job; the body of `POST /v1/jobs`, already validated.
package struct JobRequest: Codable, Hashable, Sendable {
    package var customer: Person
    package var site: Site
    /// Code of a service type, such as `residential_paving`.
    package var service: String
    package var priority: Priority
    /// When work begins. Nil asks for the first free slot from now on.
    package var startsAt: Date?
    /// Work time in minutes; nil takes the service type's default.
    package var durationMinutes: Int?
    /// A crew that must do it; nil lets the scheduler choose.
    package var crew: ResourceID?
    package var notes: String?

    package struct Site: Codable, Hashable, Sendable {
        package var address: String
        /// IANA name.
        package var timeZone: String

        package init(address: String, timeZone: String) {
            self.address = address
            self.timeZone = timeZone
        }
    }

    package init(
        customer: Person, site: Site, service: String, priority: Priority = .standard, startsAt: Date? = nil,
        durationMinutes: Int? = nil, crew: ResourceID? = nil, notes: String? = nil
    ) {
        self.customer = customer
        self.site = site
        self.service = service
        self.priority = priority
        self.startsAt = startsAt
        self.durationMinutes = durationMinutes
        self.crew = crew
        self.notes = notes
    }
}

/// Who asked, and where the outcome goes; part of every command.
package struct CommandContext: Codable, Hashable, Sendable {
    package var operation: OperationID
    /// The API key's or user's name, for the change log.
    package var actor: String
    package var source: ChangeSource
    package var requestID: String
    package var requestedAt: Date

    private enum CodingKeys: String, CodingKey {
        case operation, actor, source, requestedAt
        // Spelled as the snake_case key strategy reads `request_id` back.
        case requestID = "requestId"
    }

    package init(operation: OperationID, actor: String, source: ChangeSource, requestID: String, requestedAt: Date) {
        self.operation = operation
        self.actor = actor
        self.source = source
        self.requestID = requestID
        self.requestedAt = requestedAt
    }
}

/// The body of `job.create`.
package struct CreateJob: Codable, Hashable, Sendable {
    package var context: CommandContext
    package var request: JobRequest

    package init(context: CommandContext, request: JobRequest) {
        self.context = context
        self.request = request
    }
}

/// The body of `job.reschedule`.
package struct RescheduleJob: Codable, Hashable, Sendable {
    package var context: CommandContext
    package var job: JobID
    package var startsAt: Date
    /// Nil keeps the length.
    package var durationMinutes: Int?
    /// Nil keeps the crew if it is free, and otherwise lets the scheduler choose.
    package var crew: ResourceID?
    package var reason: String?
    /// Fails with a version mismatch unless the job has this version; nil skips the check.
    package var expectedVersion: Int?

    package init(
        context: CommandContext, job: JobID, startsAt: Date, durationMinutes: Int? = nil, crew: ResourceID? = nil,
        reason: String? = nil, expectedVersion: Int? = nil
    ) {
        self.context = context
        self.job = job
        self.startsAt = startsAt
        self.durationMinutes = durationMinutes
        self.crew = crew
        self.reason = reason
        self.expectedVersion = expectedVersion
    }
}

/// The body of `job.cancel`.
package struct CancelJob: Codable, Hashable, Sendable {
    package var context: CommandContext
    package var job: JobID
    package var reason: String?
    /// Fails with a version mismatch unless the job has this version; nil skips the check.
    package var expectedVersion: Int?

    package init(context: CommandContext, job: JobID, reason: String? = nil, expectedVersion: Int? = nil) {
        self.context = context
        self.job = job
        self.reason = reason
        self.expectedVersion = expectedVersion
    }
}
