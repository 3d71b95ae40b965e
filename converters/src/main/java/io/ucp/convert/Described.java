package io.ucp.convert;

import io.ucp.bind.Binder;
import io.ucp.bind.ModelFamilies;
import io.ucp.bind.SettingNames;
import io.ucp.bind.Sharding;
import io.ucp.bind.TargetLayout;
import io.ucp.checkpoint.Assembler;
import io.ucp.checkpoint.Inventory;
import io.ucp.checkpoint.Renaming;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.RefusedException;
import io.ucp.lang.Ucl;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/// A source, the spec that describes it, and the parameters that follow.
///
/// @param specName the file or bundled name, `inferred` where the spec was made from the
///   checkpoint's own metadata, empty where the source holds every parameter whole
/// @param specText the spec in canonical form, empty with it
/// @param sharding the bound spec, absent where the source holds every parameter whole
/// @param held the parameters as the source names them: what ranks of such a job hold
/// @param renamed the parameters after the renames of the spec that was named, where it has some
/// @param inventory the parameters under the names that were asked for: what forms hold that have
///   each of them whole
public record Described(
        OpenedSource source,
        String specName,
        String specText,
        Optional<Sharding> sharding,
        Inventory held,
        Optional<Inventory> renamed,
        Inventory inventory) {
    /// Opens a source, finds its spec, and places every byte in a parameter.
    ///
    /// @param spec a file or a bundled name, else the checkpoint's own metadata
    public static Described of(
            Path source, Optional<String> from, Optional<String> spec, Map<String, Long> settings)
            throws IOException {
        return of(source, from, spec, settings, Names.AUTO);
    }

    /// As above, with the parameters under the names that are asked for.
    ///
    /// @throws RefusedException where no bundled family, or more than one, has these names
    public static Described of(
            Path source,
            Optional<String> from,
            Optional<String> spec,
            Map<String, Long> settings,
            Names names)
            throws IOException {
        Set<String> families = names == Names.HF ? ModelFamilies.numbers() : Set.of();
        return of(source, from, spec, settings, names, families);
    }

    /// The source of a conversion: `--set` may be for the target's spec as well.
    public static Described of(Request request) throws IOException {
        return of(
                request.source(),
                request.from(),
                request.spec(),
                request.settings(),
                request.names(),
                readElsewhere(request));
    }

    /// What of `--set` something else than the source's spec may read: the target's, or a family.
    private static Set<String> readElsewhere(Request request) throws IOException {
        if (request.settings().isEmpty()) {
            return Set.of();
        }
        Set<String> read = new TreeSet<>();
        if (request.targetSpec().isPresent()) {
            read.addAll(SettingNames.of(SpecSource.named(request.targetSpec().get()).spec()));
        }
        if (request.names() == Names.HF || !Conversion.format(request.to()).naming().isEmpty()) {
            read.addAll(ModelFamilies.numbers());
        }
        return read;
    }

    /// @param elsewhere settings that the source's spec need not read
    private static Described of(
            Path source,
            Optional<String> from,
            Optional<String> spec,
            Map<String, Long> settings,
            Names names,
            Set<String> elsewhere)
            throws IOException {
        OpenedSource opened = OpenedSource.open(source, from);
        CheckpointIndex index = opened.index();
        if (!index.wholes().isEmpty()) {
            return SourceNames.whole(opened, spec, settings, names);
        }
        SpecSource found = SpecSource.of(spec, index);
        Set<String> read = SettingNames.of(found.spec());
        Map<String, Long> own = new TreeMap<>(settings);
        own.keySet().removeIf(name -> elsewhere.contains(name) && !read.contains(name));
        Sharding sharding = Binder.bind(found.spec(), index, own);
        String text = Ucl.format(found.spec());
        Inventory held = Assembler.assemble(index, sharding, text);
        Optional<Inventory> renamed =
                sharding.renames().isEmpty()
                        ? Optional.empty()
                        : Optional.of(Renaming.apply(held, sharding.renames()));
        return SourceNames.described(
                new Described(
                        opened, found.name(), text, Optional.of(sharding), held, renamed, held),
                found.bundled(),
                settings,
                names);
    }

    /// An output that ranks of a job are to load, by the layout that it was written by.
    static Described of(Path output, String format, TargetLayout layout) throws IOException {
        OpenedSource opened = OpenedSource.open(output, Optional.of(format));
        CheckpointIndex index = opened.index();
        Sharding sharding = layout.over(index);
        Inventory held = Assembler.assemble(index, sharding, "");
        return new Described(opened, "", "", Optional.of(sharding), held, Optional.empty(), held);
    }

    /// Whether these are the parameters as the source names them: the very inventory, since
    /// comparing two of them costs as much as making one.
    @SuppressWarnings("ReferenceEquality")
    boolean isHeld(Inventory other) {
        return other == held;
    }
}
