import Domain
import Foundation
import Persistence

/// The fields of resources and yards, read into a record. What is left out stays as it is.
enum ResourceInput {
    static func fill(_ reader: inout ObjectReader, _ record: inout ResourceRecord, isNew: Bool = false) {
        reader.update("name", &record.name, isRequired: isNew) { $0.string("name", .required, length: 200) }
        reader.replace("email", &record.email) { $0.string("email", length: 254, check: TextRules.email) }
        reader.replace("phone", &record.phone) { $0.string("phone", length: 32, check: TextRules.phone) }
        reader.update("time_zone", &record.timeZone) {
            $0.string("time_zone", .required, length: 64, check: TextRules.timeZone)
        }
        reader.update("active", &record.active) { $0.flag("active", .required) }
        switch record.kind {
        case .crew:
            reader.replace("yard", &record.yard) { $0.yard("yard") }
        case .crewMember:
            reader.replace("crew", &record.crew) { $0.resource("crew") }
            reader.replace("role", &record.role) { $0.string("role", length: 100) }
        case .estimator:
            reader.replace("calendly_user", &record.calendlyUser) { $0.string("calendly_user", length: 500) }
        case .equipment:
            reader.replace("yard", &record.yard) { $0.yard("yard") }
            if isNew || reader.isGiven("equipment_type") {
                record.equipmentType =
                    reader.string("equipment_type", .required, length: 64, check: TextRules.code)
                    ?? record.equipmentType
            }
            reader.replace("status", &record.status) {
                $0.choice("status", .required, as: EquipmentStatus.self)
            }
        }
        guard record.kind != .equipment else { return }
        reader.replace("skills", &record.skills) { $0.words("skills", .required) }
        reader.replace("certifications", &record.certifications) { reader in
            reader.objects("certifications", .required, atMost: 50) { reader in
                let name = reader.string("name", .required, length: 64)
                let number = reader.string("number", length: 100)
                let expiresOn = reader.day("expires_on")
                return name.map { Certification(name: $0, number: number, expiresOn: expiresOn) }
            }
        }
        reader.replace("shifts", &record.shifts) { $0.shifts("shifts") }
    }

    static func new(
        _ kind: ResourceKind, _ reader: inout ObjectReader, _ birth: ConfigurationAPI.Birth
    ) -> ResourceRecord? {
        var record = ResourceRecord(id: ResourceID(digest: birth.digest), kind: kind, name: "", at: birth.at)
        fill(&reader, &record, isNew: true)
        return record
    }

    static func fill(_ reader: inout ObjectReader, _ yard: inout Yard, isNew: Bool = false) {
        reader.update("name", &yard.name, isRequired: isNew) { $0.string("name", .required, length: 200) }
        reader.replace("address", &yard.address) { $0.string("address", length: 500) }
        reader.replace("latitude", &yard.latitude) { $0.number("latitude", in: -90...90) }
        reader.replace("longitude", &yard.longitude) { $0.number("longitude", in: -180...180) }
        reader.update("time_zone", &yard.timeZone) {
            $0.string("time_zone", .required, length: 64, check: TextRules.timeZone)
        }
        reader.update("active", &yard.active) { $0.flag("active", .required) }
        if (yard.latitude == nil) != (yard.longitude == nil) {
            reader.reject("longitude", "incomplete", "goes together with latitude: give both, or null for both")
        }
    }

    static func newYard(_ reader: inout ObjectReader, _ birth: ConfigurationAPI.Birth) -> Yard? {
        var yard = Yard(id: YardID(digest: birth.digest), name: "", at: birth.at)
        fill(&reader, &yard, isNew: true)
        return yard
    }
}
