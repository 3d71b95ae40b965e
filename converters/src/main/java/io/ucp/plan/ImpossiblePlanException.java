package io.ucp.plan;

/// A target that asks for elements which the source does not hold, or holds twice: exit code 3.
public final class ImpossiblePlanException extends RuntimeException {
    ImpossiblePlanException(String place, String found, String expected) {
        super("%s: %s; expected %s".formatted(place, found, expected));
    }
}
