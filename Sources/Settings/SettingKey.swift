/// One thing that can be set: its name in the environment, what it means, and how its text is read.
package struct SettingKey<Value: Sendable>: Sendable {
    package let name: String
    /// What it is for, in one sentence.
    package let summary: String
    /// The kind of text that it takes, such as `host:port` or `milliseconds`.
    package let format: String
    /// The text that counts when nothing is set; nil if it must be set.
    package let defaultText: String?
    /// Whether the value must never be shown.
    package let isSecret: Bool
    let parse: @Sendable (String) throws(InvalidSetting) -> Value

    package init(
        _ name: String, _ summary: String, format: String, default defaultText: String? = nil, isSecret: Bool = false,
        parse: @escaping @Sendable (String) throws(InvalidSetting) -> Value
    ) {
        self.name = name
        self.summary = summary
        self.format = format
        self.defaultText = defaultText
        self.isSecret = isSecret
        self.parse = parse
    }
}

/// Why a text is no value; it never repeats the text, which may be a secret.
package struct InvalidSetting: Error {
    package let expectation: String

    package init(_ expectation: String) {
        self.expectation = expectation
    }
}

/// A key without its type, for lists and documentation.
package struct SettingDescription: Sendable {
    package let name: String
    package let summary: String
    package let format: String
    package let defaultText: String?
    package let isSecret: Bool
    package let isOptional: Bool
}

extension SettingKey {
    func described(isOptional: Bool = false) -> SettingDescription {
        SettingDescription(
            name: name, summary: summary, format: format, defaultText: defaultText, isSecret: isSecret,
            isOptional: isOptional)
    }
}

// MARK: Common kinds of text

extension SettingKey where Value == String {
    package static func text(
        _ name: String, _ summary: String, format: String = "text", default defaultText: String? = nil,
        isSecret: Bool = false
    ) -> SettingKey {
        SettingKey(name, summary, format: format, default: defaultText, isSecret: isSecret) {
            text throws(InvalidSetting) in
            guard !text.isEmpty else { throw InvalidSetting("must not be empty") }
            return text
        }
    }
}

extension SettingKey where Value == Int {
    package static func integer(
        _ name: String, _ summary: String, in range: ClosedRange<Int>, default defaultText: Int
    ) -> SettingKey {
        SettingKey(
            name, summary, format: "\(range.lowerBound) to \(range.upperBound)", default: String(defaultText)
        ) { text throws(InvalidSetting) in
            guard let value = Int(text), range.contains(value) else {
                throw InvalidSetting("must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
    }
}

extension SettingKey where Value == Duration {
    package static func milliseconds(
        _ name: String, _ summary: String, in range: ClosedRange<Int>, default defaultText: Int
    ) -> SettingKey {
        SettingKey(name, summary, format: "milliseconds", default: String(defaultText)) { text throws(InvalidSetting) in
            guard let value = Int(text), range.contains(value) else {
                throw InvalidSetting(
                    "must be a whole number of milliseconds from \(range.lowerBound) to \(range.upperBound)")
            }
            return .milliseconds(value)
        }
    }

    package static func seconds(
        _ name: String, _ summary: String, in range: ClosedRange<Int>, default defaultText: Int
    ) -> SettingKey {
        SettingKey(name, summary, format: "seconds", default: String(defaultText)) { text throws(InvalidSetting) in
            guard let value = Int(text), range.contains(value) else {
                throw InvalidSetting(
                    "must be a whole number of seconds from \(range.lowerBound) to \(range.upperBound)")
            }
            return .seconds(value)
        }
    }
}

extension SettingKey where Value: CaseIterable & RawRepresentable, Value.RawValue == String {
    package static func choice(
        _ name: String, _ summary: String, default defaultValue: Value
    ) -> SettingKey {
        let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
        return SettingKey(name, summary, format: known, default: defaultValue.rawValue) { text throws(InvalidSetting) in
            guard let value = Value(rawValue: text) else { throw InvalidSetting("must be one of: \(known)") }
            return value
        }
    }
}
