package io.ucp.formats;

/// Something odd that does not stop the work and must not go unsaid.
///
/// @param place a file, a parameter or a rank
/// @param isUnproven whether part of the state may be missing: `--strict` refuses it
public record Finding(String place, String message, boolean isUnproven) {
    public Finding(String place, String message) {
        this(place, message, false);
    }

    /// That the source is complete cannot be seen.
    public static Finding unproven(String place, String message) {
        return new Finding(place, message, true);
    }
}
