package io.ucp.cli;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.SimpleConditionEvent.violated;
import static com.tngtech.archunit.lang.conditions.ArchConditions.onlyDependOnClassesThat;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.GeneralCodingRules.ACCESS_STANDARD_STREAMS;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ImportOption.DoNotIncludeTests;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.ConditionEvents;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/// The direction of every import, as the architecture page draws it: lang | tensor <- io <- formats
/// <- one format each | mesh <- layout <- {bind, checkpoint} <- plan <- execute <- convert | cli.
@AnalyzeClasses(packages = "io.ucp", importOptions = DoNotIncludeTests.class)
final class ArchitectureTest {
    /// No formats themselves: what several formats' files are made of, and which those are.
    private static final Map<String, List<String>> CONTAINERS =
            Map.of(
                    "torch",
                    List.of(
                            "deepspeed",
                            "megatron",
                            "megatrondist",
                            "mcore",
                            "dcp",
                            "distcp",
                            "hub",
                            "statedict",
                            "training"),
                    "distcp",
                    List.of("dcp", "megatrondist"),
                    "mcore",
                    List.of("megatron", "megatrondist"),
                    "hub",
                    List.of("safetensors", "statedict", "dcp", "mcore"),
                    "training",
                    List.of("deepspeed", "mcore", "dcp", "hub"));

    /// What is carried along of a source is pickled values, whatever the format: words that all
    /// share.
    private static final String PICKLED_VALUES = "io.ucp.formats.torch.pickle";

    /// How they are shown to people and programs.
    private static final String SHOWN_VALUES = "io.ucp.formats.torch.TreeJson";

    @ArchTest
    static void seesTheClassesOfEveryModule(JavaClasses all) {
        assertThat(all.stream().map(JavaClass::getPackageName).distinct())
                .contains("io.ucp.lang", "io.ucp.cli");
    }

    @ArchTest static final ArchRule langKnowsOnlyItself = imports("lang..");

    @ArchTest static final ArchRule tensorKnowsOnlyItself = imports("tensor..");

    @ArchTest static final ArchRule ioKnowsTensors = imports("io..", "tensor..");

    @ArchTest
    static final ArchRule formatsKnowIoAndTensors = imports("formats..", "io..", "tensor..");

    /// Of formats only the words that all share, such as a rank's coordinate: no format.
    @ArchTest
    static final ArchRule meshKnowsTensorsAndCoordinates = imports("mesh..", "formats", "tensor..");

    @ArchTest
    static final ArchRule layoutKnowsMesh = imports("layout..", "mesh..", "formats", "tensor..");

    @ArchTest
    static final ArchRule bindKnowsTheLanguageAndLayouts =
            imports(
                    "bind..",
                    "checkpoint..",
                    "layout..",
                    "mesh..",
                    "lang..",
                    "formats..",
                    "io..",
                    "tensor..");

    @ArchTest
    static final ArchRule checkpointKnowsFormatsAndLayouts =
            imports(
                    "checkpoint..",
                    "bind..",
                    "layout..",
                    "mesh..",
                    "formats..",
                    "io..",
                    "tensor..");

    @ArchTest
    static final ArchRule planKnowsInventoriesAndShardings =
            imports(
                    "plan..",
                    "checkpoint..",
                    "bind..",
                    "layout..",
                    "mesh..",
                    "formats..",
                    "io..",
                    "tensor..");

    /// It could not consult a layout if it wanted to: a distributed engine is another `execute`.
    @ArchTest
    static final ArchRule executeKnowsOnlyPlans =
            imports("execute..", "plan..", "io..", "tensor..");

    /// Files and who wrote them: it could not consult a layout or read a tensor.
    @ArchTest
    static final ArchRule parityKnowsFilesAndHowCheckpointsAreOpened =
            classes()
                    .that()
                    .resideInAPackage("io.ucp.parity..")
                    .should(
                            onlyDependOnClassesThat(
                                    DescribedPredicate.not(resideInAnyPackage("io.ucp.."))
                                            .or(
                                                    resideInAnyPackage(
                                                            "io.ucp.parity..",
                                                            "io.ucp.convert",
                                                            "io.ucp.execute",
                                                            "io.ucp.layout",
                                                            "io.ucp.formats",
                                                            "io.ucp.io..",
                                                            "io.ucp.tensor"))));

    @ArchTest
    static final ArchRule nothingKnowsTheCommandLine =
            noClasses()
                    .that(resideInAnyPackage("io.ucp.."))
                    .and()
                    .resideOutsideOfPackage("io.ucp.cli..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage("io.ucp.cli..", "picocli..");

    /// A format is one package that no other names, so that a new one is one new package; torch's
    /// files are what some of the others are made of.
    @ArchTest
    static final ArchRule formatsDoNotKnowEachOther =
            classes()
                    .that()
                    .resideInAPackage("io.ucp.formats..")
                    .should(
                            new ArchCondition<>("know no other format") {
                                @Override
                                public void check(JavaClass origin, ConditionEvents events) {
                                    for (Dependency each : origin.getDirectDependenciesFromSelf()) {
                                        if (!mayImport(origin, each.getTargetClass())) {
                                            events.add(violated(each, each.getDescription()));
                                        }
                                    }
                                }
                            });

    @ArchTest
    static final ArchRule onlyTheGeneratedParserKnowsAntlr =
            noClasses()
                    .that()
                    .resideOutsideOfPackages("io.ucp.lang", "io.ucp.lang.internal..")
                    .should()
                    .dependOnClassesThat()
                    .resideInAnyPackage("org.antlr..", "io.ucp.lang.internal..");

    @ArchTest
    static final ArchRule onlyTheCommandLineTouchesStandardStreams =
            noClasses()
                    .that()
                    .resideOutsideOfPackage("io.ucp.cli..")
                    .should(ACCESS_STANDARD_STREAMS);

    @ArchTest
    static final ArchRule onlyMainExits =
            noClasses()
                    .that()
                    .doNotHaveFullyQualifiedName("io.ucp.cli.Main")
                    .should()
                    .callMethod(System.class, "exit", int.class)
                    .orShould()
                    .callMethod(Runtime.class, "exit", int.class)
                    .orShould()
                    .callMethod(Runtime.class, "halt", int.class);

    @ArchTest
    static final ArchRule noCycles = slices().matching("io.ucp.(**)").should().beFreeOfCycles();

    /// Of ucp's own packages, those of the first pattern import only themselves and the others
    /// given.
    private static ArchRule imports(String importer, String... imported) {
        String[] known =
                Stream.concat(Stream.of(importer), Arrays.stream(imported))
                        .map(name -> "io.ucp." + name)
                        .toArray(String[]::new);
        DescribedPredicate<JavaClass> foreign =
                DescribedPredicate.not(resideInAnyPackage("io.ucp.."));
        return classes()
                .that()
                .resideInAPackage("io.ucp." + importer)
                .should(
                        onlyDependOnClassesThat(foreign.or(resideInAnyPackage(known)))
                                .as("import of ucp only " + String.join(", ", known)));
    }

    private static boolean mayImport(JavaClass origin, JavaClass target) {
        String format = format(target);
        return format.isEmpty()
                || target.getPackageName().equals(PICKLED_VALUES)
                || target.getName().equals(SHOWN_VALUES)
                || format.equals(format(origin))
                || CONTAINERS.getOrDefault(format, List.of()).contains(format(origin));
    }

    /// The format whose package a class is in; empty for what is no format's.
    private static String format(JavaClass type) {
        String root = "io.ucp.formats.";
        String name = type.getBaseComponentType().getPackageName();
        return name.startsWith(root) ? name.substring(root.length()).split("\\.", -1)[0] : "";
    }
}
