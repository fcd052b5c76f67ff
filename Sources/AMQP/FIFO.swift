/// A first-in, first-out queue over one array; removing is amortised constant time.
struct FIFO<Element> {
    private var storage: [Element?] = []
    private var head = 0

    var count: Int { storage.count - head }
    var isEmpty: Bool { count == 0 }
    var first: Element? { isEmpty ? nil : storage[head] }

    /// The element so far behind the first; it must be there.
    subscript(offset: Int) -> Element {
        get {
            guard let element = storage[head + offset] else { preconditionFailure("an element that was taken out") }
            return element
        }
        set { storage[head + offset] = newValue }
    }

    mutating func append(_ element: Element) {
        storage.append(element)
    }

    mutating func append(contentsOf elements: some Sequence<Element>) {
        for element in elements { storage.append(element) }
    }

    @discardableResult
    mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = storage[head].take()
        head += 1
        if head == storage.count {
            storage.removeAll(keepingCapacity: true)
            head = 0
        } else if head >= 1_024, head * 2 >= storage.count {
            storage.removeFirst(head)
            head = 0
        }
        return element
    }

    /// Up to `limit` elements from the front.
    mutating func popFirst(_ limit: Int) -> [Element] {
        var taken: [Element] = []
        taken.reserveCapacity(min(limit, count))
        while taken.count < limit, let element = popFirst() { taken.append(element) }
        return taken
    }

    mutating func removeAll() -> [Element] {
        let all = storage[head...].compactMap(\.self)
        storage.removeAll()
        head = 0
        return all
    }

    mutating func removeAll(where isUnwanted: (Element) -> Bool) {
        storage = storage[head...].filter { element in element.map { !isUnwanted($0) } ?? false }
        head = 0
    }
}
