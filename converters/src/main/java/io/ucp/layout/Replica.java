package io.ucp.layout;

/// One of the copies of a parameter, and what it is to the others. Copies of the same alternative
/// and summand must be equal byte for byte. The first alternative gives the value: its one summand,
/// or the mean of its summands. Later alternatives may differ from it.
///
/// @param label which ranks hold it, for messages: `pp 0, tp 1`
/// @param alternative place on the axes of which the first is taken
/// @param summand place on the axes that are averaged
public record Replica(String label, int alternative, int summand) {
    /// A copy that must equal every other one made so.
    public static Replica equal(String label) {
        return new Replica(label, 0, 0);
    }

    /// The same to the others, held under another label.
    public Replica labelled(String other) {
        return new Replica(other, alternative, summand);
    }
}
