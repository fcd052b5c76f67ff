extension JSONValue {
    /// For people: a member or element on each line, sorted by name, indented by two spaces.
    package func pretty() -> String {
        var text = ""
        write(to: &text, depth: 0)
        return text
    }

    private func write(to text: inout String, depth: Int) {
        let inner = String(repeating: "  ", count: depth + 1)
        let outer = String(repeating: "  ", count: depth)
        switch self {
        case .array(let elements) where !elements.isEmpty:
            text += "["
            for (index, element) in elements.enumerated() {
                text += (index == 0 ? "\n" : ",\n") + inner
                element.write(to: &text, depth: depth + 1)
            }
            text += "\n" + outer + "]"
        case .object(let members) where !members.isEmpty:
            text += "{"
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                text += (index == 0 ? "\n" : ",\n") + inner
                text += String(decoding: JSONValue.string(member.key).encoded(), as: UTF8.self) + ": "
                member.value.write(to: &text, depth: depth + 1)
            }
            text += "\n" + outer + "}"
        default: text += String(decoding: encoded(), as: UTF8.self)
        }
    }
}
