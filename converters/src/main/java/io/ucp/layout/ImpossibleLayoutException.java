package io.ucp.layout;

/// A layout that a tensor cannot have: a dimension that it lacks, an extent that does not divide, a
/// view of another number of elements. The message names the finding and the expectation.
public final class ImpossibleLayoutException extends RuntimeException {
    private final String problem;

    public ImpossibleLayoutException(String found, String expected) {
        super(found + "; expected " + expected);
        problem = found + "; expected " + expected;
    }

    /// What was found and what was expected: the message.
    public String problem() {
        return problem;
    }
}
