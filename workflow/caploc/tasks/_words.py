"""Words of English and their forms, for tasks that a pretrained model knows: one text a list."""

import re

__all__ = [
    "ADJECTIVES",
    "ANTONYMS",
    "CAPITALS",
    "NOUNS",
    "OTHER_VERBS",
    "VERBS",
    "comparative",
    "past_tense",
    "plural",
]  # fmt: skip

VERBS = """
accept add admire admit adopt advise agree aim allow announce answer appear apply approve argue
arrange arrive ask assume attach attack attend avoid bake balance ban bang beg behave belong blame
bless blink boil borrow bounce bow brush bump burn bury call camp care carry cause challenge
change charge chase cheat check cheer chew chop claim clap clean clear climb close coach collect
compare compete complain complete confess confuse connect consider contain continue copy correct
cough count cover crash crawl cross cry cure damage dance dare decide declare decorate delay
deliver demand depend describe deserve destroy develop disagree disappear discover dislike divide
double doubt drag drain dream dress drop drown dry earn educate employ empty encourage end enjoy
enter escape examine excite excuse exercise exist expand expect explain explode express extend
face fade fail fasten fear fetch fill film fire fit fix float flood flow fold follow fool force
form frame frighten gather gaze glow grab greet grin grip guarantee guard guess guide hammer hand
handle hang happen harm hate haunt heal heat help hop hope hug hunt hurry identify ignore imagine
impress improve include increase influence inform inject injure instruct intend interest interrupt
introduce invent invite itch jail jam jog join joke judge jump kick kill kiss kneel knit knock
label land last laugh launch learn level lick lift like list listen live load lock look love
manage march mark marry match matter measure melt memorise mend mention become begin bend bite
blow break bring build buy catch choose come dig do draw drink drive eat fall feed feel fight find
fly forget forgive freeze get give go grow hear hide hold keep know lead leave lend lose make mean
meet pay ride ring rise run say see sell send shake shine shoot sing sink sit sleep slide speak
spend stand steal stick strike swear sweep swim swing take teach tear tell think throw understand
wake wear weep win write
""".split()
"""Of the tasks past tense and upper case."""
OTHER_VERBS = """
milk mix moan move name need nod note notice number obey object observe obtain occur offer open
order owe own pack paddle paint park part pass paste pause peel permit phone pick pinch place plan
plant play please plug point polish pop possess post pour practise pray preach prefer prepare
present preserve press pretend prevent print produce promise protect provide pull pump punch
punish push question race rain raise reach realise receive recognise record reduce reflect refuse
regret reject relax release rely remain remember remind remove repair repeat replace reply report
request rescue retire return rinse risk rob rock roll rub ruin rule rush sack sail satisfy save
scare scatter scold scrape scratch scream search settle shave shelter shiver shop shout sign
signal skip slip slow smash smell smile smoke sneeze sniff snore snow soak solve sort sound spark
spell spill spoil spot spray stamp stare start stay steer step stir stop store stretch study
suffer suggest suit supply support suppose surprise surround suspect switch talk tap taste tease
test thank tick tie tickle time tip touch tour tow trace trade train transport trap travel treat
tremble trick trip trot trouble trust try tug tumble turn twist type unite unlock use vanish visit
wail wait walk wander want warm warn wash waste watch water wave weigh welcome whine whisper
whistle wink wipe wish wonder work worry wrap wreck yawn yell
""".split()
"""Of the task that asks for the past tense in another form."""
_PAST = dict(
    pair.split(":")
    for pair in """
become:became begin:began bend:bent bite:bit blow:blew break:broke bring:brought build:built
buy:bought catch:caught choose:chose come:came dig:dug do:did draw:drew drink:drank drive:drove
eat:ate fall:fell feed:fed feel:felt fight:fought find:found fly:flew forget:forgot
forgive:forgave freeze:froze get:got give:gave go:went grow:grew hang:hung hear:heard hide:hid
hold:held keep:kept kneel:knelt know:knew lead:led leave:left lend:lent lose:lost make:made
mean:meant meet:met pay:paid ride:rode ring:rang rise:rose run:ran say:said see:saw sell:sold
send:sent shake:shook shine:shone shoot:shot sing:sang sink:sank sit:sat sleep:slept slide:slid
speak:spoke spend:spent stand:stood steal:stole stick:stuck strike:struck swear:swore sweep:swept
swim:swam swing:swung take:took teach:taught tear:tore tell:told think:thought throw:threw
understand:understood wake:woke wear:wore weep:wept win:won write:wrote
""".split()
)
# Verbs of several syllables whose last consonant is doubled, and those of one that only look so.
_DOUBLED = {"admit", "occur", "permit", "prefer", "regret"}
_VOWELS = "aeiou"


def past_tense(verb: str) -> str:
    """Simple past of a verb of the lists."""
    if verb in _PAST:
        return _PAST[verb]
    if verb.endswith("e"):
        return verb + "d"
    if re.search(rf"[^{_VOWELS}]y$", verb):
        return verb[:-1] + "ied"
    return _before_ending(verb) + "ed"


def _before_ending(word: str) -> str:
    """The word, its last consonant doubled behind one short vowel."""
    short = re.fullmatch(rf"[^{_VOWELS}]*(?:qu)?[{_VOWELS}][^{_VOWELS}wxy]", word)
    return word + word[-1] if short or word in _DOUBLED else word


NOUNS = """
actor airport animal answer ant apple arm army arrow artist aunt axe baby badge bag ball banana
band bank basket bath battery battle beach bean bear beard bed bee bell belt bench berry bicycle
bird biscuit blanket boat body bomb bone book boot bottle bowl box boy branch bridge brother brush
bucket bus bush butcher butterfly button cabbage cable cage cake calendar camel camera camp candle
cap car card carpet carrot castle cat cave chain chair cherry chicken child church circle city
class clock cloud coach coat coin comb cook cookie corner country cousin cow crayon creature crow
crowd crown cup curtain daisy daughter day deer desk diary dictionary dish doctor dog doll door
dragon dress driver drum duck eagle ear egg elephant engine eye face factory family farmer father
feather fence field finger fish flag flame flower fly foot forest fork fox friend frog fruit game
garden gate ghost giant giraffe girl glass glove goat goose grape guitar gun hammer hand hat head
heart hen hill hobby hole home horse hospital hotel house idea insect island jacket jar jelly
jewel judge kettle key king kitchen kite kitten knee knife knot ladder lady lake lamb lamp leaf
leg lemon letter library lion lip list loaf lock lorry machine magazine man map market mask match
meal mirror monkey month moon mother mountain mouse mouth nail name neck needle nephew nest net
nose nurse ocean office onion orange oven owl ox page palace pan parcel park party path peach pear
pen pencil person photo piano picture pie pig pillow pilot pin pipe pirate plane planet plant
plate pocket poem pond pony potato prince prison puppet puppy queen question rabbit radio railway
rat ring river road robot rock roof room root rope rose ruler sailor sandwich school scientist
seed shadow shark sheep sheet shelf ship shirt shoe shop shoulder sink sister sky snail snake
soldier son song spider spoon spy square stamp star station stick stone story stranger street
student sword table tail taxi teacher temple tent thief thumb ticket tiger toe tomato tooth tower
town toy train tray tree truck uncle valley vase village voice wagon wall watch wave week wheel
whistle wife window wing wish witch wolf woman word worm wrist year zebra
""".split()
_PLURAL = dict(
    pair.split(":")
    for pair in [
        "child:children",
        "deer:deer",
        "fish:fish",
        "foot:feet",
        "goose:geese",
        "knife:knives",
        "leaf:leaves",
        "loaf:loaves",
        "man:men",
        "mouse:mice",
        "ox:oxen",
        "person:people",
        "photo:photos",
        "piano:pianos",
        "potato:potatoes",
        "radio:radios",
        "sheep:sheep",
        "shelf:shelves",
        "thief:thieves",
        "tomato:tomatoes",
        "tooth:teeth",
        "wife:wives",
        "wolf:wolves",
        "woman:women",
    ]
)


def plural(noun: str) -> str:
    """Plural of a noun of the list."""
    if noun in _PLURAL:
        return _PLURAL[noun]
    if re.search(rf"[^{_VOWELS}]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(s|x|z|ch|sh)$", noun) else "s")


ADJECTIVES = """
angry bad big bitter black blond blue bold bossy brave brief bright broad brown busy calm cheap
chewy chilly chubby classy clean clear clever close cloudy clumsy coarse cold cool crazy creamy
creepy crisp crispy cruel crunchy curly curvy cute damp dark dear deep dense dirty drunk dry dull
dumb dusty early easy empty faint fair fancy far fast fat few fierce filthy fine firm fit flaky
flat fluffy fresh friendly full funny fuzzy gentle gloomy good grand grave gray greasy great
greedy green grim guilty hairy handy happy hard harsh healthy heavy high hip hot humble hungry icy
itchy juicy keen kind large late lazy light likely little lively lonely long loose loud lovely low
lucky mad mean messy mild moist muddy narrow nasty naughty near neat new nice noisy nosy odd oily
old pale plain pleasant polite poor pretty proud pure quick quiet rainy rare raw red rich ripe
risky roomy rough rude rusty sad safe salty sandy scary shallow sharp shiny short shy silly simple
sincere skinny sleepy slim slimy slow small smart smelly smoky smooth soft soon sore sour spicy
steep sticky stingy strange strict strong sturdy subtle sunny sweaty sweet tall tan tasty thick
thin thirsty tight tiny tough true ugly vast warm wavy weak wealthy weird wet white wide wild
windy wise worldly worthy yellow young
""".split()
_COMPARATIVE = {
    "bad": "worse", "far": "farther", "few": "fewer", "good": "better", "little": "less",
}  # fmt: skip


def comparative(adjective: str) -> str:
    """Comparative of an adjective of the list."""
    if adjective in _COMPARATIVE:
        return _COMPARATIVE[adjective]
    if adjective.endswith("e"):
        return adjective + "r"
    if re.search(rf"[^{_VOWELS}]y$", adjective) and adjective not in ("shy", "dry"):
        return adjective[:-1] + "ier"
    if adjective == "dry":
        return "drier"
    return _before_ending(adjective) + "er"


ANTONYMS = dict(
    pair.split(":")
    for pair in """
above:below absent:present accept:refuse active:passive add:subtract admit:deny adult:child
after:before alive:dead all:none allow:forbid always:never ancient:modern answer:question
appear:disappear arrive:leave ascend:descend asleep:awake attack:defend back:front
backward:forward bad:good beautiful:ugly begin:end believe:doubt big:small birth:death
bitter:sweet black:white blunt:sharp bold:timid borrow:lend bottom:top boy:girl brave:cowardly
bright:dark broad:narrow build:destroy buy:sell calm:nervous careful:careless cheap:expensive
child:adult clean:dirty clear:cloudy clever:stupid close:open cold:hot common:rare complex:simple
cool:warm correct:wrong cruel:kind cry:laugh dangerous:safe dark:light day:night dead:alive
decrease:increase deep:shallow defeat:victory despair:hope die:live different:same difficult:easy
dirty:clean divide:multiply down:up dry:wet dull:bright early:late east:west easy:hard empty:full
end:start enemy:friend enter:exit even:odd evening:morning everything:nothing evil:good
exit:entrance export:import external:internal fail:succeed fall:rise false:true far:near fast:slow
fat:thin father:mother female:male few:many final:first find:lose first:last float:sink
foolish:wise forget:remember found:lost freeze:melt fresh:stale friend:enemy front:back
future:past gain:lose generous:selfish gentle:rough giant:tiny give:take go:come good:bad
guilty:innocent happy:sad hard:soft hate:love healthy:sick heavy:light heaven:hell hell:heaven
high:low hit:miss hope:despair horizontal:vertical hot:cold huge:tiny human:animal husband:wife
in:out include:exclude increase:decrease inferior:superior inhale:exhale inside:outside
interesting:boring junior:senior king:queen large:small last:first late:early laugh:cry
lazy:hardworking lead:follow left:right lend:borrow less:more liquid:solid long:short loose:tight
lose:win loud:quiet love:hate low:high lucky:unlucky major:minor male:female man:woman many:few
maximum:minimum minimum:maximum minor:major mix:separate modern:ancient more:less morning:evening
mother:father narrow:wide natural:artificial near:far negative:positive never:always new:old
night:day noisy:quiet north:south nothing:everything odd:even off:on offer:refuse old:young on:off
open:closed optimist:pessimist outside:inside over:under part:whole pass:fail past:future
patient:impatient peace:war permanent:temporary plural:singular polite:rude poor:rich
positive:negative possible:impossible poverty:wealth powerful:weak praise:criticize predator:prey
present:absent private:public prince:princess profit:loss proud:ashamed public:private pull:push
pure:impure push:pull queen:king question:answer quick:slow quiet:loud raise:lower rare:common
raw:cooked real:fake rich:poor right:left rise:fall rough:smooth rude:polite sad:happy
safe:dangerous same:different save:spend scatter:gather senior:junior shallow:deep sharp:dull
short:long shrink:grow shut:open sick:healthy simple:complex sink:float sister:brother slow:fast
small:large smart:stupid smooth:rough sober:drunk soft:hard solid:liquid son:daughter sour:sweet
south:north start:finish stop:go straight:crooked strong:weak student:teacher succeed:fail
summer:winter sunny:rainy sunrise:sunset sweet:sour take:give tall:short teacher:student
thick:thin thin:thick throw:catch tight:loose tiny:huge together:apart top:bottom tragedy:comedy
true:false truth:lie ugly:beautiful uncle:aunt under:over up:down upper:lower useful:useless
valuable:worthless vertical:horizontal victory:defeat visible:invisible visitor:host wake:sleep
war:peace warm:cool weak:strong west:east wet:dry white:black whole:part wide:narrow wife:husband
wild:tame win:lose winter:summer wise:foolish woman:man worst:best wrong:right yes:no young:old
zenith:nadir
""".split()
)
CAPITALS = dict(
    pair.strip().split(": ")
    for pair in """
Afghanistan: Kabul, Albania: Tirana, Algeria: Algiers, Andorra: Andorra la Vella, Angola: Luanda,
Argentina: Buenos Aires, Armenia: Yerevan, Australia: Canberra, Austria: Vienna, Azerbaijan: Baku,
Bahrain: Manama, Bangladesh: Dhaka, Barbados: Bridgetown, Belarus: Minsk, Belgium: Brussels,
Belize: Belmopan, Bhutan: Thimphu, Bolivia: La Paz, Bosnia and Herzegovina: Sarajevo, Botswana:
Gaborone, Brazil: Brasilia, Bulgaria: Sofia, Burkina Faso: Ouagadougou, Burundi: Gitega, Cambodia:
Phnom Penh, Cameroon: Yaounde, Canada: Ottawa, Chad: N'Djamena, Chile: Santiago, China: Beijing,
Colombia: Bogota, Costa Rica: San Jose, Croatia: Zagreb, Cuba: Havana, Cyprus: Nicosia, Denmark:
Copenhagen, Dominican Republic: Santo Domingo, Ecuador: Quito, Egypt: Cairo, El Salvador: San
Salvador, Eritrea: Asmara, Estonia: Tallinn, Ethiopia: Addis Ababa, Fiji: Suva, Finland: Helsinki,
France: Paris, Gabon: Libreville, Gambia: Banjul, Georgia: Tbilisi, Germany: Berlin, Ghana: Accra,
Greece: Athens, Guatemala: Guatemala City, Guinea: Conakry, Guyana: Georgetown, Haiti: Port-au-
Prince, Honduras: Tegucigalpa, Hungary: Budapest, Iceland: Reykjavik, India: New Delhi, Indonesia:
Jakarta, Iran: Tehran, Iraq: Baghdad, Ireland: Dublin, Israel: Jerusalem, Italy: Rome, Jamaica:
Kingston, Japan: Tokyo, Jordan: Amman, Kazakhstan: Astana, Kenya: Nairobi, Kosovo: Pristina,
Kuwait: Kuwait City, Kyrgyzstan: Bishkek, Laos: Vientiane, Latvia: Riga, Lebanon: Beirut, Lesotho:
Maseru, Liberia: Monrovia, Libya: Tripoli, Lithuania: Vilnius, Luxembourg: Luxembourg, Madagascar:
Antananarivo, Malawi: Lilongwe, Malaysia: Kuala Lumpur, Maldives: Male, Mali: Bamako, Malta:
Valletta, Mauritania: Nouakchott, Mexico: Mexico City, Moldova: Chisinau, Mongolia: Ulaanbaatar,
Montenegro: Podgorica, Morocco: Rabat, Mozambique: Maputo, Namibia: Windhoek, Nepal: Kathmandu,
Netherlands: Amsterdam, New Zealand: Wellington, Nicaragua: Managua, Niger: Niamey, Nigeria:
Abuja, North Korea: Pyongyang, North Macedonia: Skopje, Norway: Oslo, Oman: Muscat, Pakistan:
Islamabad, Panama: Panama City, Papua New Guinea: Port Moresby, Paraguay: Asuncion, Peru: Lima,
Philippines: Manila, Poland: Warsaw, Portugal: Lisbon, Qatar: Doha, Romania: Bucharest, Russia:
Moscow, Rwanda: Kigali, Samoa: Apia, Saudi Arabia: Riyadh, Senegal: Dakar, Serbia: Belgrade,
Sierra Leone: Freetown, Singapore: Singapore, Slovakia: Bratislava, Slovenia: Ljubljana, Somalia:
Mogadishu, South Africa: Pretoria, South Korea: Seoul, South Sudan: Juba, Spain: Madrid, Sudan:
Khartoum, Suriname: Paramaribo, Sweden: Stockholm, Switzerland: Bern, Syria: Damascus, Taiwan:
Taipei, Tajikistan: Dushanbe, Tanzania: Dodoma, Thailand: Bangkok, Togo: Lome, Tonga: Nuku'alofa,
Tunisia: Tunis, Turkey: Ankara, Turkmenistan: Ashgabat, Uganda: Kampala, Ukraine: Kyiv, United
Arab Emirates: Abu Dhabi, United Kingdom: London, United States: Washington, Uruguay: Montevideo,
Uzbekistan: Tashkent, Venezuela: Caracas, Vietnam: Hanoi, Yemen: Sanaa, Zambia: Lusaka, Zimbabwe:
Harare
""".replace("\n", " ").split(",")
)
