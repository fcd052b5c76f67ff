package import Foundation

/// A resource as answers name it.
package struct ResourceName: Codable, Hashable, Sendable {
    package var id: ResourceID
    package var name: String

    package init(id: ResourceID, name: String) {
        self.id = id
        self.name = name
    }
}

/// A job as the API shows it, and as the change log keeps it.
package struct JobView: Codable, Hashable, Sendable {
    package var id: JobID
    /// What people call it, such as `J-2027-00042`.
    package var number: String
    package var state: JobState
    /// The entity tag.
    package var version: Int
    /// Code of the service type.
    package var service: String
    package var priority: Priority
    package var customer: Person
    package var site: JobRequest.Site
    package var startsAt: Date
    package var endsAt: Date
    package var timeZone: String
    package var crew: ResourceName?
    /// The machines that it holds now; none once it is canceled.
    package var equipment: [ResourceName]
    package var notes: String?
    package var cancelReason: String?
    package var createdAt: Date
    package var updatedAt: Date

    package init(
        id: JobID, number: String, state: JobState, version: Int, service: String, priority: Priority,
        customer: Person, site: JobRequest.Site, startsAt: Date, endsAt: Date, timeZone: String,
        crew: ResourceName? = nil, equipment: [ResourceName] = [], notes: String? = nil, cancelReason: String? = nil,
        createdAt: Date, updatedAt: Date
    ) {
        self.id = id
        self.number = number
        self.state = state
        self.version = version
        self.service = service
        self.priority = priority
        self.customer = customer
        self.site = site
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.timeZone = timeZone
        self.crew = crew
        self.equipment = equipment
        self.notes = notes
        self.cancelReason = cancelReason
        self.createdAt = createdAt
        self.updatedAt = updatedAt
    }
}
