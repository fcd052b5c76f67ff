package import Foundation

/// When somebody is on site: two instants, and the zone in which people there read them.
package struct Visit: Codable, Hashable, Sendable {
    package var startsAt: Date
    package var endsAt: Date
    /// IANA name of the site's zone, such as `America/New_York`.
    package var timeZone: String

    package init(startsAt: Date, endsAt: Date, timeZone: String) {
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.timeZone = timeZone
    }
}

/// A time and a resource that would work instead of what was asked for.
package struct Alternative: Codable, Hashable, Sendable {
    package var startsAt: Date
    package var endsAt: Date
    package var resource: ResourceID
    package var resourceName: String

    package init(startsAt: Date, endsAt: Date, resource: ResourceID, resourceName: String) {
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.resource = resource
        self.resourceName = resourceName
    }
}
