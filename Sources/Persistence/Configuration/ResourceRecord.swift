package import Domain
package import Foundation

/// A crew, one of its people, an estimator or a machine, with everything that can be said of it.
package struct ResourceRecord: ConfigurationRecord, Hashable {
    package var id: ResourceID
    package var kind: ResourceKind
    package var name: String
    package var email: String?
    package var phone: String?
    /// For estimators: the user at Calendly who is this person.
    package var calendlyUser: String?
    /// For machines: what it is, such as `paver`.
    package var equipmentType: String?
    /// For machines.
    package var status: EquipmentStatus?
    /// For crews and machines.
    package var yard: YardID?
    /// For the people of a crew.
    package var crew: ResourceID?
    package var role: String?
    /// Nil for machines, and the next two.
    package var skills: [String]?
    package var certifications: [Certification]?
    /// None means at any time.
    package var shifts: [Shift]?
    /// For crews: their active people.
    package var members: [ResourceName]?
    package var timeZone: String
    package var active: Bool
    package var version: Int
    package var createdAt: Date
    package var updatedAt: Date

    package var key: String { id.rawValue }

    /// A new one, about which nothing else is known yet.
    package init(id: ResourceID, kind: ResourceKind, name: String, at instant: Date) {
        self.id = id
        self.kind = kind
        self.name = name
        let isMachine = kind == .equipment
        status = isMachine ? .available : nil
        skills = isMachine ? nil : []
        certifications = isMachine ? nil : []
        shifts = isMachine ? nil : []
        members = kind == .crew ? [] : nil
        timeZone = "America/New_York"
        active = true
        version = 1
        createdAt = instant
        updatedAt = instant
    }
}
