import Domain
import Foundation

/// Filters of lists.
extension QueryParameters {
    /// Where an earlier page ended.
    mutating func cursor<Cursor>(_ read: (String) -> Cursor?) -> Cursor? {
        guard let text = values["cursor"] else { return nil }
        let cursor = read(text)
        if cursor == nil { reject("cursor", "format", "must be the next_cursor of an earlier page") }
        return cursor
    }

    /// `true` or `false`; nil if it is not there.
    mutating func choice(_ name: String) -> Bool? {
        values[name] == nil ? nil : flag(name)
    }

    /// The id of a thing that a list is narrowed down to.
    mutating func id<Entity>(_ name: String, as type: Identifier<Entity>.Type) -> Identifier<Entity>? {
        guard let text = values[name] else { return nil }
        let id = Identifier<Entity>(rawValue: text)
        if id == nil { reject(name, "format", "must be an id, such as \(Entity.identifierPrefix)_01J...") }
        return id
    }

    mutating func instant(_ name: String) -> Date? {
        guard let text = values[name] else { return nil }
        let instant = InstantText.parse(text)
        if instant == nil {
            reject(name, "format", "must be an instant in RFC 3339 with a zone, such as 2027-03-16T13:00:00Z")
        }
        return instant
    }

    mutating func day(_ name: String) -> LocalDay? {
        guard let text = values[name] else { return nil }
        let day = DayText.parse(text)
        if day == nil { reject(name, "format", "must be a day, such as 2027-07-05") }
        return day
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let text = values[name] else { return nil }
        guard let number = Int(text), range.contains(number) else {
            reject(name, "range", "must be within \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }
}
