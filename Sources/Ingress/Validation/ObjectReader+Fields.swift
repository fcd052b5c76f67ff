import Domain
import Foundation
import Messaging

/// Fields of what people configure.
extension ObjectReader {
    /// Reads a field that is given, or that must be, into `target`; null is no value for it.
    mutating func update<Value>(
        _ name: String, _ target: inout Value, isRequired: Bool = false, read: (inout ObjectReader) -> Value?
    ) {
        guard isGiven(name) || isRequired else { return }
        if let value = read(&self) { target = value }
    }

    /// Reads a field that is given into `target`; null clears it.
    mutating func replace<Value>(_ name: String, _ target: inout Value?, read: (inout ObjectReader) -> Value?) {
        guard isGiven(name) else { return }
        target = read(&self)
    }

    /// A resource's id.
    mutating func resource(_ name: String, _ presence: Presence = .optional) -> ResourceID? {
        string(name, presence, length: 64) { text in
            ResourceID(rawValue: text) == nil ? ("format", "must be a resource's id, such as res_01J...") : nil
        }
        .flatMap(ResourceID.init(rawValue:))
    }

    /// A yard's id.
    mutating func yard(_ name: String) -> YardID? {
        string(name, length: 64) { text in
            YardID(rawValue: text) == nil ? ("format", "must be a yard's id, such as yrd_01J...") : nil
        }
        .flatMap(YardID.init(rawValue:))
    }

    /// A day of the calendar.
    mutating func day(_ name: String, _ presence: Presence = .optional) -> LocalDay? {
        string(name, presence, length: 10) { text in
            DayText.parse(text) == nil ? ("format", "must be a day, such as 2027-07-05") : nil
        }
        .flatMap(DayText.parse)
    }

    /// A time on the clock, to the minute.
    mutating func time(_ name: String, _ presence: Presence = .optional) -> LocalTime? {
        string(name, presence, length: 5) { text in
            LocalTime(text) == nil ? ("format", "must be a time of day, such as 07:00") : nil
        }
        .flatMap { LocalTime($0) }
    }

    /// A list of words without repetitions, such as skills.
    mutating func words(_ name: String, _ presence: Presence = .optional) -> [String]? {
        let words = strings(name, presence, atMost: 50) { text in
            let isWord =
                (1...64).contains(text.unicodeScalars.count) && !text.allSatisfy(\.isWhitespace)
                && !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
            return isWord ? nil : ("format", "must have 1 to 64 characters and no control characters")
        }
        return words.map { Set($0).sorted() }
    }

    /// Hours of work by weekday. A shift that ends at or before its start ends on the next day.
    mutating func shifts(_ name: String) -> [Shift]? {
        objects(name, .required, atMost: 50) { reader in
            let weekday = reader.integer("weekday", .required, in: 1...7)
            let from = reader.time("from", .required)
            let to = reader.time("to", .required)
            guard let weekday, let from, let to else { return nil }
            if from == to || from.minutes == 1_440 {
                reader.reject("to", "order", "must differ from from, which must be before 24:00")
            }
            return Shift(weekday: weekday, from: from, to: to)
        }
    }
}

/// A day as the API takes it.
enum DayText {
    /// nil for anything but a day that there is, in the years 2000 to 2199.
    static func parse(_ text: String) -> LocalDay? {
        guard let day = LocalDay(text), (2_000..<2_200).contains(day.year), SiteClock.day(day, plus: 0) == day else {
            return nil
        }
        return day
    }
}
