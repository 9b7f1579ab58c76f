"""What the plain line must say of 91 infants, worked out by hand from rules and published tables.

The z-scores are of the tables by day (WHO), of the skew Student t by day and the very preterm
equations (INTERGROWTH-21st newborn size) and of the equations of Villar 2015 (postnatal growth of
preterm infants), to two decimals; no code of the package made them.
"""
from typing import NamedTuple

NORMAL, UNSURE = "normal", "unsure, weigh again on a scale"
WEIGH, REFER = "weigh on a scale", "refer"
Z, BIRTH, RETURN, LAST = ("z-score", "change since birth", "return to the birth weight",
                          "change since the last visit")
WHO, PRETERM, NEWBORN = "WHO Child", "postnatal growth of preterm", "newborn size"


class Case(NamedTuple):
    """One infant.

    `weight` is the estimate with both ends of its interval, in g; `rules` are those that hold,
    with "?" where only a part of the interval lies below, and "!" where it does if born at term;
    `not_judged` is what is named as such; `earlier` holds day and weight (and ends) of visits
    before; `z` is that of the estimate.
    """

    weight: tuple[float, float, float]
    line: str
    rules: str = ""
    not_judged: tuple[str, ...] = ()
    age: float | None = None
    sex: str = ""
    gest: float | None = None
    birth: float | None = None
    klass: str | None = None
    z: float | None = None
    standard: str | None = None
    earlier: tuple[tuple[float, ...], ...] = ()
    says: str = ""


def at(weight):
    return weight, weight, weight


NO_INTERVAL = float("nan")
LOW3 = "below_2500_g below_1500_g below_1000_g"
LOSS, LOSS_PRE, BACK, BACK_PRE = ("loss_10_percent", "loss_10_percent_preterm", "not_regained",
                                  "not_regained_preterm")
Z2, Z3 = "z_below_minus_2", "z_below_minus_3"
NOTHING = {"not_judged": (Z, BIRTH)}  # but the weight is known
ALL_THREE = "weight, z-score and change since birth"
UNASKED = {"not_judged": (ALL_THREE,)}
GIRL_28 = {"age": 28, "sex": "F", "gest": 275, "standard": WHO, "not_judged": (BIRTH,)}
BOY_60 = {"age": 60, "sex": "M", "gest": 280, "birth": 3300, "klass": "not low", "standard": WHO}
GIRL_3 = {"age": 3, "sex": "F", "gest": 280, "birth": 4000, "klass": "not low", "standard": WHO}
GIRL_21 = {"age": 21, "sex": "F", "gest": 275, "birth": 3500, "klass": "not low", "standard": WHO}
GIRL_14 = {"age": 14, "sex": "F", "gest": 280, "birth": 3300, "klass": "not low", "standard": WHO}
BOY_36_WEEKS = {"age": 28, "sex": "M", "gest": 252, "klass": "not low", "standard": PRETERM}
GIRL_35_WEEKS = {"age": 4, "sex": "F", "gest": 245, "klass": "not low", "standard": PRETERM}
GIRL_36_WEEKS = {"age": 21, "sex": "F", "gest": 252, "birth": 2800, "klass": "not low",
                 "standard": PRETERM}

WEIGHT_ALONE = (
    Case((3200, 2900, 3500), NORMAL, **NOTHING, says="normal by weight alone; not judged: z-score "
         "(age, sex and gestation not known), change since birth (birth weight not known)"),
    Case(at(2500), NORMAL, **NOTHING),
    Case(at(2499.9), WEIGH, "below_2500_g", **NOTHING, says="below 2500 g"),
    Case((2600, 2450, 2750), UNSURE, "below_2500_g?", **NOTHING,
         says="2450 to 2750 g is on both sides of 2500 g"),
    Case((2400, 2250, 2550), UNSURE, "below_2500_g?", **NOTHING),
    Case((2500, 2400, 2600), UNSURE, "below_2500_g?", **NOTHING),
    Case((2200, 2050, 2350), WEIGH, "below_2500_g", **NOTHING),
    Case((1600, 1450, 1750), WEIGH, "below_2500_g below_1500_g?", **NOTHING),
    Case((1450, 1350, 1550), WEIGH, "below_2500_g below_1500_g?", **NOTHING),
    Case((1300, 1200, 1400), REFER, "below_2500_g below_1500_g", **NOTHING,
         says="refer: below 1500 g; not judged"),
    Case(at(1499.9), REFER, "below_2500_g below_1500_g", **NOTHING),
    Case(at(1500), WEIGH, "below_2500_g", **NOTHING),
    Case((1050, 950, 1150), REFER, "below_2500_g below_1500_g below_1000_g?", **NOTHING),
    Case((900, 850, 950), REFER, LOW3, **NOTHING, says="refer: below 1000 g; not judged"),
    Case((2000, 1400, 2600), UNSURE, "below_2500_g? below_1500_g?", **NOTHING),
    Case((80, 0, 130), WEIGH, **UNASKED, says="weigh on a scale: the estimate of 80 g is not 500 "
         f"to 8000 g and cannot be right; not judged: {ALL_THREE} (no plausible weight)"),
    Case((9000, 8800, 9200), WEIGH, **UNASKED, says="cannot be right"),
    Case(at(500), REFER, LOW3, **NOTHING),
    Case(at(8000), NORMAL, **NOTHING),
    Case((3000, NO_INTERVAL, NO_INTERVAL), UNSURE, **UNASKED, says="unsure, weigh again on a "
         f"scale: the estimate has no interval; not judged: {ALL_THREE} (no interval)"),
    Case((3000, 0, float("inf")), UNSURE, **UNASKED, says="the estimate has no interval"),
    Case((900, NO_INTERVAL, NO_INTERVAL), UNSURE, **UNASKED, says="the estimate has no interval"),
)

TERM_BY_Z = (
    Case((4200, 4000, 4400), NORMAL, **GIRL_28, z=0.18,
         says="normal by weight and z-score; not judged: change since birth (birth weight not "),
    Case((3000, 2900, 3080), WEIGH, Z2, **GIRL_28, z=-2.20, says="z-score -2.20, below -2 (WHO"),
    Case((3100, 3000, 3200), UNSURE, f"{Z2}?", **GIRL_28, z=-1.97,
         says="z-score -2.20 to -1.75 is on both sides of -2 (WHO Child"),
    Case((2700, 2620, 2780), WEIGH, f"{Z2} {Z3}?", **GIRL_28, z=-2.91),
    Case((2580, 2510, 2650), REFER, f"{Z2} {Z3}", **GIRL_28, z=-3.20),
    Case((2450, 2300, 2600), REFER, f"below_2500_g? {Z2} {Z3}", **GIRL_28, z=-3.51),
    Case((3300, 2600, 4000), UNSURE, f"{Z2}? {Z3}?", **GIRL_28, z=-1.54),
    Case((4400, 4320, 4480), NORMAL, **BOY_60, z=-1.82),
    Case((4200, 4100, 4280), WEIGH, Z2, **BOY_60, z=-2.17),
    Case((4300, 4200, 4400), UNSURE, f"{Z2}?", **BOY_60, z=-1.99),
    Case(at(2500), NORMAL, age=3, sex="F", gest=259, birth=2600, klass="not low", standard=WHO,
         z=-1.69),
)

DAY_OF_BIRTH = (
    Case((3260, 3100, 3400), NORMAL, age=0, sex="F", gest=280, standard=NEWBORN, z=0.00,
         not_judged=(BIRTH,)),
    Case((2400, 2300, 2490), WEIGH, f"below_2500_g {Z2}", age=0, sex="F", gest=280,
         standard=NEWBORN, z=-2.24, not_judged=(BIRTH,)),
    Case((1600, 1560, 1640), WEIGH, f"below_2500_g {Z2}", age=0, sex="M", gest=245,
         standard=NEWBORN, z=-2.12, not_judged=(BIRTH,)),
    Case((1100, 1050, 1150), REFER, f"below_2500_g below_1500_g {Z2} {Z3}", age=0, sex="M",
         gest=245, standard=NEWBORN, z=-3.11, not_judged=(BIRTH,)),
    Case((3300, 3200, 3400), NORMAL, age=1, sex="M", gest=280, birth=3400, klass="not low",
         standard=NEWBORN, z=-0.21),
    Case((3300, 3200, 3400), NORMAL, age=1.5, sex="M", gest=280, birth=3400, klass="not low",
         standard=WHO, z=-0.04),
    Case((3000, 2900, 3100), NORMAL, age=0, sex="F", birth=3000, klass="not low", standard=WHO,
         z=-0.52, says="normal; gestation not known: the z-score is right only for an infant born "
         "at term"),
    Case((600, 570, 630), REFER, LOW3, age=0, sex="F", gest=160, birth=620, klass="ELBW",
         not_judged=(Z,), says="the newborn standard is for 24+0"),
    Case((3800, 3700, 3900), NORMAL, age=0, sex="M", gest=301, birth=3800, klass="not low",
         not_judged=(Z,), says="normal by weight and change since birth; not judged: z-score ("),
)

PRETERM_INFANTS = (
    Case((1400, 1340, 1460), REFER, "below_2500_g below_1500_g", age=14, sex="F", gest=210,
         birth=1300, klass="VLBW", standard=PRETERM, z=-0.24),  # 30 weeks at 2 weeks of age
    Case((1000, 950, 1050), REFER, f"below_2500_g below_1500_g below_1000_g? {Z2} {Z3}?", age=14,
         sex="M", gest=210, standard=PRETERM, z=-2.80, not_judged=(BIRTH,)),
    Case((2700, 2600, 2800), NORMAL, age=28, sex="F", gest=238, birth=2000, klass="LBW",
         standard=PRETERM, z=-0.01, says="normal"),  # -2.9 by the WHO's standard
    Case((2560, 2500, 2620), UNSURE, f"{Z2}?", **BOY_36_WEEKS, birth=2500, z=-2.09),
    Case((2550, 2520, 2580), WEIGH, f"{Z2} {BACK_PRE}", **BOY_36_WEEKS, birth=2700, z=-2.12),
    Case((1900, 1820, 1980), WEIGH, "below_2500_g", age=21, sex="F", gest=231, birth=1800,
         klass="LBW", standard=PRETERM, z=-1.21),
    Case((680, 640, 720), REFER, LOW3, age=5, sex="F", gest=175, birth=700, klass="ELBW",
         not_judged=(Z,), says="begins at 27 weeks postmenstrual age (now 25+5 weeks)"),
    Case((900, 860, 940), REFER, LOW3, age=2, sex="M", gest=188, birth=950, klass="ELBW",
         standard=PRETERM, z=1.27),
    Case((2000, 1950, 2060), WEIGH, "below_2500_g", age=3, sex="F", gest=258, birth=2100,
         klass="LBW", standard=PRETERM, z=-1.67),
    Case((2552, 2530, 2580), WEIGH, LOSS_PRE, **GIRL_35_WEEKS, birth=2900, z=1.02,
         says="12.0 % below the birth weight, more than 10 %"),
    Case((2620, 2560, 2680), UNSURE, f"{LOSS_PRE}?", **GIRL_35_WEEKS, birth=2900, z=1.19),
    Case((2560, 2520, 2600), REFER, f"{LOSS_PRE} loss_15_percent_preterm", **GIRL_35_WEEKS,
         birth=3100, z=1.04),
    Case((2550, 2520, 2600), WEIGH, f"{LOSS_PRE} loss_15_percent_preterm?", **GIRL_35_WEEKS,
         birth=3000, z=1.01),
    Case((2700, 2650, 2750), WEIGH, BACK_PRE, **GIRL_36_WEEKS, z=-0.55),
    Case((2750, 2650, 2850), UNSURE, f"{BACK_PRE}?", **GIRL_36_WEEKS, z=-0.42),
    Case((7000, 6800, 7200), NORMAL, age=200, sex="F", gest=252, birth=2300, klass="LBW",
         standard=WHO, z=-0.57),  # 64 weeks and 4 days
    Case((7000, 6800, 7200), NORMAL, age=196, sex="F", gest=252, birth=2300, klass="LBW",
         standard=PRETERM, z=-0.12),  # 64 weeks and 0 days
)

LOSS_OF_WEIGHT = (
    Case((3700, 3600, 3800), NORMAL, **GIRL_3, z=0.94, says="normal"),
    Case((3700, 3590, 3810), UNSURE, f"{LOSS}?", **GIRL_3, z=0.94,
         says="-10.3 to -4.7 % since birth is on both sides of -10 %"),
    Case((3550, 3450, 3650), UNSURE, f"{LOSS}?", **GIRL_3, z=0.65),
    Case((3400, 3300, 3500), REFER, LOSS, **GIRL_3, z=0.35,
         says="refer: 15.0 % below the birth weight, more than 10 %"),
    Case(at(3599.9), REFER, LOSS, **GIRL_3, z=0.75),
    Case((3400, 3300, 3500), REFER, LOSS, **{**GIRL_3, "gest": None}, z=0.35,
         says="gestation not known"),
    Case((3400, 3300, 3500), REFER, LOSS, birth=4000, klass="not low", not_judged=(Z, RETURN),
         says="return to the birth weight (age not known)"),
    Case((3200, 3050, 3350), NORMAL, birth=3000, klass="not low", not_judged=(Z,)),
    Case((2950, 2850, 3050), NORMAL, birth=3000, klass="not low", not_judged=(Z, RETURN),
         says="normal by weight and change since birth; not judged: z-score (age, sex and "),
)

DAY_21 = (
    Case((3700, 3600, 3800), NORMAL, **GIRL_21, z=-0.25),
    Case(at(3500), NORMAL, **GIRL_21, z=-0.64),
    Case((3600, 3400, 3800), UNSURE, f"{BACK}?", **GIRL_21, z=-0.45, says="-2.9 to 8.6 % since"),
    Case((3300, 3200, 3400), REFER, BACK, **GIRL_21, z=-1.05,
         says="refer: not back at the birth weight on day 21"),
    Case((3300, 3200, 3400), NORMAL, **{**GIRL_21, "age": 20}, z=-0.98),
    Case((3300, 3200, 3400), NORMAL, **{**GIRL_21, "age": 20.9}, z=-0.98),
    Case((3700, 3650, 3750), REFER, f"{LOSS} {BACK}", **{**GIRL_21, "age": 40, "birth": 4200},
         z=-1.46, says="refer: 11.9 % below the birth weight, more than 10 %"),
)

MISSING = (
    Case((3200, 3100, 3300), NORMAL, age=10, gest=280, birth=3200, klass="not low",
         not_judged=(Z,), says="z-score (sex not known)"),
    Case((3200, 3100, 3300), NORMAL, sex="M", gest=280, **NOTHING,
         says="z-score (age not known), change since birth (birth weight not known)"),
    Case((3500, 3400, 3600), NORMAL, age=14, sex="F", birth=3400, klass="not low", standard=WHO,
         z=-0.14, says="normal; gestation not known: the z-score is right only"),
    Case((2600, 2560, 2640), WEIGH, f"{Z2}!", age=14, sex="F", birth=2550, klass="not low",
         standard=WHO, z=-2.13, says="z-score -2.13 is below -2 if born at term; gestation not"),
    Case((2550, 2510, 2600), WEIGH, f"{Z2}! {Z3}!", age=28, sex="F", standard=WHO, z=-3.27,
         not_judged=(BIRTH,)),
    Case((2500, 2450, 2550), UNSURE, "below_2500_g?", birth=1000, klass="VLBW", not_judged=(Z,)),
    Case((2600, 2550, 2650), NORMAL, birth=2499, klass="LBW", not_judged=(Z,)),
)

EARLIER = (
    Case((3600, 3500, 3700), NORMAL, **GIRL_14, z=0.06, earlier=((7, 3350),)),
    Case((3450, 3350, 3550), UNSURE, "lighter_than_before?", **GIRL_14, z=-0.24,
         earlier=((7, 3400),), says="not sure to be heavier than on day 7 (3400 g)"),
    Case((3500, 3400, 3600), WEIGH, "lighter_than_before", **GIRL_14, z=-0.14,
         earlier=((7, 3700),), says="lighter than on day 7 (3700 g)"),
    Case((3600, 3520, 3700), NORMAL, **GIRL_14, z=0.06, earlier=((7, 3400, 3300, 3500),)),
    Case((3600, 3450, 3750), UNSURE, "lighter_than_before?", **GIRL_14, z=0.06,
         earlier=((7, 3400, 3300, 3500),), says="(3300 to 3500 g estimated)"),
    Case((3500, 3400, 3600), NORMAL, **GIRL_14, z=-0.14, earlier=((2, 3700), (0, 3300)),
         not_judged=(LAST,), says="normal by weight, z-score and change since birth; not judged: "
         "change since the last visit (that was before day 4, when newborns still lose weight)"),
    Case((3500, NO_INTERVAL, NO_INTERVAL), UNSURE, **GIRL_14, z=-0.14, earlier=((7, 3700),),
         not_judged=(f"weight, z-score, {BIRTH} and {LAST}",)),
    Case((3450, 3400, 3500), WEIGH, "lighter_than_before", **GIRL_14, z=-0.24,
         earlier=((10, 3600), (7, 3300))),
    Case((3500, 3400, 3600), NORMAL, sex="F", not_judged=(Z, BIRTH, LAST), earlier=((7, 3300),)),
)

CASES = (*WEIGHT_ALONE, *TERM_BY_Z, *DAY_OF_BIRTH, *PRETERM_INFANTS, *LOSS_OF_WEIGHT, *DAY_21,
         *MISSING, *EARLIER)
