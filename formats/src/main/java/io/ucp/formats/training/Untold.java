package io.ucp.formats.training;

import io.ucp.formats.CarriedFile;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/// Carried files that a target has no place for.
public final class Untold {
    private Untold() {}

    /// What is told as lost of them, a line a role. Those whose facts are in [TrainingState], or
    /// told one by one in [TrainingState#rest], are not told again, nor is what says the form of
    /// the source's own files.
    ///
    /// @param others roles that the target tells itself, or that are of the source's job alone
    /// @param target in words
    public static List<String> losses(List<CarriedFile> left, Set<String> others, String target) {
        Map<String, Integer> roles = new TreeMap<>();
        for (CarriedFile file : left) {
            String role = file.roleBefore();
            if (!role.equals(CarriedFile.FORM)
                    && !others.contains(role)
                    && !TrainingState.ROLES.contains(role)) {
                roles.merge(file.role(), 1, Integer::sum);
            }
        }
        List<String> losses = new ArrayList<>();
        roles.forEach(
                (role, count) ->
                        losses.add(
                                "%s (%d file%s): %s has no place for it"
                                        .formatted(role, count, count == 1 ? "" : "s", target)));
        return losses;
    }
}
