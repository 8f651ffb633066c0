"""Phrases of the topic science; the format stands in `dff.demo.vocabulary`."""

TEXT = """
endings: in sixty seconds | with things from the kitchen | for curious kids | in slow motion | without any maths
    | under a cheap microscope | with a balloon and a straw | on my balcony at night
lengths: 20 80

# space
things: the rings of Saturn through a small telescope | a comet that only looks slow | the silence between two stars
    | the far side of the moon
acts: photographing the Milky Way with a phone | tracking a space station by eye | drawing craters at the telescope
    | measuring starlight with a cardboard tube
tips: let your eyes adjust for twenty minutes | look beside the faint star | start with the brightest planet
es: mirar los anillos de Saturno
de: die Ringe des Saturn beobachten
fr: observer les anneaux de Saturne
pt: observar os anéis de Saturno

# kitchen chemistry
things: a volcano with red cabbage juice | the chemistry of a perfect crust | sugar crystals on a string | the reason onions make us cry
acts: making invisible ink from lemons | splitting colours with coffee filters | growing salt crystals in a week
    | turning milk into plastic
tips: test the tap water with cabbage juice | heat the sugar slowly | add the vinegar last
es: hacer cristales de azúcar
de: Zuckerkristalle züchten
fr: faire pousser des cristaux de sucre
pt: fazer cristais de açúcar

# physics
things: a pendulum that draws flowers | magnets falling through copper | the gyroscope that refuses to fall | a needle floating on water
acts: racing two cans down a ramp | levitating a ball on a hairdryer | bending water with a comb | breaking a ruler with air pressure
tips: drop the long spring and watch its end | spin the egg to see if it's boiled | tap the glass, then listen
es: doblar un chorro de agua con un peine
de: einen Wasserstrahl mit dem Kamm biegen
fr: dévier un filet d'eau avec un peigne
pt: desviar a água com um pente

# insects
things: a wasp that makes paper | the ant that carries a leaf home | a dragonfly leaving its old skin | moths on a white bedsheet
acts: filming a caterpillar for nine days | counting bees on one sunflower | following ants back to their nest
    | feeding sugar water to a tired bumblebee
tips: lift the stone and put it back | photograph beetles against the light | leave the dead stems until spring
es: filmar una mariposa al nacer
de: eine Raupe beim Verpuppen filmen
fr: filmer la naissance d'un papillon
pt: filmar o nascimento de uma borboleta

# weather
things: a cloud inside a bottle | the storm that looked like a jellyfish | hail cut in half | fog rolling over a dam
acts: chasing a rainbow with a bike | building a barometer from a jar | reading tomorrow's weather from clouds
    | freezing soap bubbles at minus twelve
tips: count the seconds after the lightning | watch which way the high clouds move | put a thermometer in the shade
es: crear una nube en una botella
de: eine Wolke in der Flasche erzeugen
fr: créer un nuage dans une bouteille
pt: criar uma nuvem na garrafa
"""
