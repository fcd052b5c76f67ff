import Domain
import Foundation
import Persistence

/// The fields of service types, consultation types, business hours, holidays and absences.
enum PolicyInput {
    private static let buffer = 0...1_440
    private static let cutoff = 0...43_200

    static func fill(_ reader: inout ObjectReader, _ type: inout ServiceTypeRecord, isNew: Bool = false) {
        reader.update("name", &type.name, isRequired: isNew) { $0.string("name", .required, length: 200) }
        reader.update("category", &type.category, isRequired: isNew) {
            $0.choice("category", .required, as: ServiceCategory.self)
        }
        reader.update("duration_minutes", &type.durationMinutes, isRequired: isNew) {
            $0.integer("duration_minutes", .required, in: JobInput.duration)
        }
        reader.update("buffer_before_minutes", &type.bufferBeforeMinutes) {
            $0.integer("buffer_before_minutes", .required, in: buffer)
        }
        reader.update("buffer_after_minutes", &type.bufferAfterMinutes) {
            $0.integer("buffer_after_minutes", .required, in: buffer)
        }
        reader.replace("crew_size", &type.crewSize) { $0.integer("crew_size", in: 1...100) }
        reader.update("skills", &type.skills) { $0.words("skills", .required) }
        reader.update("equipment_types", &type.equipmentTypes) { $0.words("equipment_types", .required) }
        reader.update("any_hour", &type.anyHour) { $0.flag("any_hour", .required) }
        reader.update("cutoff_minutes", &type.cutoffMinutes) {
            $0.integer("cutoff_minutes", .required, in: cutoff)
        }
        reader.update("active", &type.active) { $0.flag("active", .required) }
    }

    static func newService(
        _ reader: inout ObjectReader, _ birth: ConfigurationAPI.Birth
    ) -> ServiceTypeRecord? {
        let code = reader.string("code", .required, length: 64, check: TextRules.code)
        var type = ServiceTypeRecord(
            code: code ?? "", name: "", category: .custom, durationMinutes: 60, at: birth.at)
        fill(&reader, &type, isNew: true)
        return code == nil ? nil : type
    }

    static func fill(_ reader: inout ObjectReader, _ type: inout ConsultationTypeRecord) {
        reader.update("name", &type.name) { $0.string("name", .required, length: 200) }
        reader.update("duration_minutes", &type.durationMinutes) {
            $0.integer("duration_minutes", .required, in: 5...1_440)
        }
        reader.update("buffer_before_minutes", &type.bufferBeforeMinutes) {
            $0.integer("buffer_before_minutes", .required, in: buffer)
        }
        reader.update("buffer_after_minutes", &type.bufferAfterMinutes) {
            $0.integer("buffer_after_minutes", .required, in: buffer)
        }
        reader.update("notice_minutes", &type.noticeMinutes) {
            $0.integer("notice_minutes", .required, in: 0...525_600)
        }
        reader.update("horizon_days", &type.horizonDays) { $0.integer("horizon_days", .required, in: 1...730) }
        reader.update("cutoff_minutes", &type.cutoffMinutes) {
            $0.integer("cutoff_minutes", .required, in: cutoff)
        }
        reader.update("any_hour", &type.anyHour) { $0.flag("any_hour", .required) }
        reader.update("event_types", &type.eventTypes) {
            $0.strings("event_types", .required, atMost: 100) { text in
                text.hasPrefix("https://") && text.utf8.count <= 500 && !text.contains(where: \.isWhitespace)
                    ? nil : ("format", "must be the URI of an event type at Calendly")
            }
        }
    }

    static func fill(_ reader: inout ObjectReader, _ week: inout BusinessWeek) {
        let days = reader.objects("days", .required, atMost: 7) { reader -> BusinessWeek.Day? in
            let weekday = reader.integer("weekday", .required, in: 1...7)
            let opens = reader.time("opens", .required)
            let closes = reader.time("closes", .required)
            guard let weekday, let opens, let closes else { return nil }
            if opens >= closes { reader.reject("closes", "order", "must be later than opens") }
            return BusinessWeek.Day(weekday: weekday, opens: opens, closes: closes)
        }
        guard let days else { return }
        if Set(days.map(\.weekday)).count < days.count {
            reader.reject("days", "repeated", "must have each weekday once")
        }
        week.days = days.sorted { $0.weekday < $1.weekday }
    }

    static func newHoliday(_ reader: inout ObjectReader, _ birth: ConfigurationAPI.Birth) -> Holiday? {
        let day = reader.day("day", .required)
        let name = reader.string("name", .required, length: 200)
        guard let day, let name else { return nil }
        return Holiday(day: day, name: name, at: birth.at)
    }

    /// An absence that is asked for.
    struct NewAbsence: Sendable {
        var id: AbsenceID
        var resource: ResourceID
        var during: Interval
    }

    static func newAbsence(_ reader: inout ObjectReader, _ birth: ConfigurationAPI.Birth) -> NewAbsence? {
        let resource = reader.resource("resource", .required)
        let startsAt = reader.instant("starts_at", .required)
        let endsAt = reader.instant("ends_at", .required)
        // It stands in every answer that says why somebody cannot go.
        if !reader.has("reason") { reader.reject("reason", "required", "is required") }
        guard let resource, let startsAt, let endsAt else { return nil }
        guard startsAt < endsAt else {
            reader.reject("ends_at", "order", "must be later than starts_at")
            return nil
        }
        guard endsAt.timeIntervalSince(startsAt) <= 366 * 86_400 else {
            reader.reject("ends_at", "too_long", "must be within a year of starts_at; deactivate who leaves for longer")
            return nil
        }
        return NewAbsence(
            id: AbsenceID(digest: birth.digest), resource: resource,
            during: Interval(start: startsAt, end: endsAt))
    }
}
