/// A statement with its parameters.
///
/// Every interpolated value becomes a bound parameter, so no value can change the statement:
///
///     let find: SQL = "select state from jobs where id = \(id) and ends_at > \(now)"
///
/// Statements can be put together from parts; parameters are numbered when the statement is sent.
///
/// Parameters of numbers, dates, UUIDs, `Bool` and `bytea` carry their type. Text carries none, so that it fits wherever
/// the server can infer one (`uuid`, enums, `jsonb`, ranges); write `\(text)::text` where nothing tells, as in
/// `\(filter)::text is null`.
package struct SQL: Sendable, Equatable, ExpressibleByStringInterpolation {
    /// One more than there are parameters: the text before, between and after them.
    private(set) var fragments: [String]
    package private(set) var parameters: [PostgresParameter]

    package init(stringLiteral value: String) {
        fragments = [value]
        parameters = []
    }

    package init(stringInterpolation: StringInterpolation) {
        self = stringInterpolation.sql
    }

    /// A statement that is known at run time only.
    ///
    /// - Parameter text: sent as it is. Never build it from input.
    package init(unescaped text: String) {
        self.init(stringLiteral: text)
    }

    /// The statement as the server gets it, with `$1`, `$2` and so on in the place of values.
    package var text: String { Self.text(of: fragments) }

    /// Puts pieces together, with a parameter between each two.
    static func text(of fragments: [String]) -> String {
        var text = fragments[0]
        for index in 1..<fragments.count {
            text += "$\(index)"
            text += fragments[index]
        }
        return text
    }

    package static func + (first: SQL, second: SQL) -> SQL {
        var sum = first
        sum += second
        return sum
    }

    package static func += (sql: inout SQL, more: SQL) {
        sql.fragments[sql.fragments.count - 1] += more.fragments[0]
        sql.fragments += more.fragments.dropFirst()
        sql.parameters += more.parameters
    }

    fileprivate mutating func append(text: String) {
        fragments[fragments.count - 1] += text
    }

    fileprivate mutating func append(_ parameter: PostgresParameter) {
        parameters.append(parameter)
        fragments.append("")
    }

    /// Collects the pieces of an interpolated literal.
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var sql = SQL(stringLiteral: "")

        package init(literalCapacity: Int, interpolationCount: Int) {
            sql.parameters.reserveCapacity(interpolationCount)
        }

        package mutating func appendLiteral(_ literal: String) {
            sql.append(text: literal)
        }

        /// Binds a value.
        package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value) {
            sql.append(value.postgresParameter)
        }

        /// Binds a value that may be missing, which becomes NULL.
        ///
        /// Apart from the other one because the compiler warns about an optional where it sees no parameter for one.
        package mutating func appendInterpolation<Value: PostgresEncodable>(_ value: Value?) {
            sql.append(value.postgresParameter)
        }

        /// Puts another statement, or a part of one, in this place, with its parameters.
        package mutating func appendInterpolation(_ part: SQL) {
            sql += part
        }

        /// Text as it is, for names that we own. Never input.
        package mutating func appendInterpolation(unescaped text: String) {
            sql.append(text: text)
        }

        /// A name in double quotes, whatever it holds.
        package mutating func appendInterpolation(identifier name: String) {
            sql.append(text: SQL.quoted(name))
        }
    }

    /// A name as a quoted identifier; case and every character are kept.
    static func quoted(_ name: String) -> String {
        var text = "\""
        for character in name.unicodeScalars {
            if character == "\"" { text.unicodeScalars.append(character) }
            text.unicodeScalars.append(character)
        }
        return text + "\""
    }
}

extension Sequence<SQL> {
    /// The parts with a separator between them; empty if there are none.
    package func joined(separator: SQL) -> SQL {
        var sum: SQL?
        for part in self { sum = sum.map { $0 + separator + part } ?? part }
        return sum ?? ""
    }
}
