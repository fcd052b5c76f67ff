/// The body of `job.scheduled`, `job.rescheduled` and `job.canceled`.
package struct JobEvent: Codable, Hashable, Sendable {
    package var job: JobID
    /// What people call the job, such as `J-2027-00042`.
    package var number: String
    /// Goes up by one with each change that people are told of; the SEQUENCE of calendar attachments.
    package var sequence: Int
    package var service: String
    package var priority: Priority
    package var customer: Person
    package var address: String
    package var visit: Visit
    package var previousVisit: Visit?
    package var crew: Assignee?
    /// The crew that had the job before, if it is another one now.
    package var previousCrew: Assignee?
    package var reason: String?

    package init(
        job: JobID, number: String, sequence: Int, service: String, priority: Priority, customer: Person,
        address: String, visit: Visit, previousVisit: Visit? = nil, crew: Assignee? = nil,
        previousCrew: Assignee? = nil, reason: String? = nil
    ) {
        self.job = job
        self.number = number
        self.sequence = sequence
        self.service = service
        self.priority = priority
        self.customer = customer
        self.address = address
        self.visit = visit
        self.previousVisit = previousVisit
        self.crew = crew
        self.previousCrew = previousCrew
        self.reason = reason
    }
}
