/// Reads iCalendar strictly by RFC 5545, for tests: whatever a lenient reader would forgive is an error.
struct CalendarReader {
    struct Malformed: Error, CustomStringConvertible {
        let description: String
    }

    struct Property: Hashable {
        var name: String
        var parameters: [String: String] = [:]
        var value: String
    }

    /// Properties outside the event.
    private(set) var calendar: [Property] = []
    /// Properties of the only event.
    private(set) var event: [Property] = []

    init(_ bytes: [UInt8]) throws {
        var component: [String] = []
        for line in try Self.contentLines(bytes) {
            let property = try Self.property(line)
            switch property.name {
            case "BEGIN":
                guard property.value == (component.isEmpty ? "VCALENDAR" : "VEVENT"), component.count < 2 else {
                    throw Malformed(description: "BEGIN:\(property.value) out of place")
                }
                component.append(property.value)
            case "END":
                guard component.popLast() == property.value else {
                    throw Malformed(description: "END:\(property.value) out of place")
                }
            default:
                if component.count == 2 { event.append(property) } else { calendar.append(property) }
            }
        }
        guard component.isEmpty else { throw Malformed(description: "no END:\(component)") }
    }

    /// The value of a property that may occur once; TEXT escapes are undone.
    func text(_ name: String) throws -> String? {
        let found = (calendar + event).filter { $0.name == name }
        guard found.count <= 1 else { throw Malformed(description: "\(name) occurs \(found.count) times") }
        return try found.first.map { try Self.unescaped($0.value) }
    }

    func property(_ name: String) -> Property? { (calendar + event).first { $0.name == name } }

    // MARK: Lines

    /// Unfolds; every physical line must be whole UTF-8, end with CRLF and have 75 octets at most.
    private static func contentLines(_ bytes: [UInt8]) throws -> [String] {
        guard bytes.suffix(2) == [13, 10] else { throw Malformed(description: "no CRLF at the end") }
        var lines: [String] = []
        var start = 0
        while start < bytes.count {
            guard let end = bytes[start...].firstIndex(of: 13), end + 1 < bytes.count, bytes[end + 1] == 10 else {
                throw Malformed(description: "a line without CRLF")
            }
            let line = bytes[start..<end]
            guard line.count <= 75 else { throw Malformed(description: "a line of \(line.count) octets") }
            guard let text = String(validating: line, as: UTF8.self) else {
                throw Malformed(description: "a line breaks a character")
            }
            guard line.allSatisfy({ $0 >= 32 && $0 != 127 }) else {
                throw Malformed(description: "a control character")
            }
            if line.first == 32 {
                guard !lines.isEmpty else { throw Malformed(description: "begins folded") }
                lines[lines.count - 1].unicodeScalars += text.unicodeScalars.dropFirst()
            } else {
                lines.append(text)
            }
            start = end + 2
        }
        return lines
    }

    private static func property(_ line: String) throws -> Property {
        var parts: [String.UnicodeScalarView] = [.init()]
        var value: String.UnicodeScalarView?
        var isQuoted = false
        for scalar in line.unicodeScalars {
            if value != nil {
                value?.append(scalar)
            } else if scalar == "\"" {
                isQuoted.toggle()
            } else if scalar == ":" && !isQuoted {
                value = .init()
            } else if scalar == ";" && !isQuoted {
                parts.append(.init())
            } else {
                parts[parts.count - 1].append(scalar)
            }
        }
        guard let value, !isQuoted else { throw Malformed(description: "no property: \(line)") }
        var property = Property(name: String(parts[0]), value: String(value))
        for part in parts.dropFirst() {
            let sides = String(part).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2, property.parameters.updateValue(String(sides[1]), forKey: String(sides[0])) == nil
            else { throw Malformed(description: "no parameter: \(part)") }
        }
        return property
    }

    private static func unescaped(_ value: String) throws -> String {
        var text = String.UnicodeScalarView()
        var isEscaped = false
        for scalar in value.unicodeScalars {
            if isEscaped {
                guard ["\\", ";", ",", "n"].contains(scalar) else {
                    throw Malformed(description: "escape of \(scalar)")
                }
                text.append(scalar == "n" ? "\n" : scalar)
                isEscaped = false
            } else if scalar == "\\" {
                isEscaped = true
            } else if scalar == ";" || scalar == "," {
                throw Malformed(description: "a bare \(scalar) in TEXT")
            } else {
                text.append(scalar)
            }
        }
        guard !isEscaped else { throw Malformed(description: "ends in a backslash") }
        return String(text)
    }
}
