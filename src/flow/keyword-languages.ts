/**
 * The usual words for STOP, START and HELP, by language: a message that consists of one of them is a wish, and no answer.
 *
 * - English: 47 CFR 64.1200(a)(10) of the FCC (stop, quit, end, revoke, opt out, cancel, unsubscribe), and what the large
 *   carriers and providers add to it (stopall, optout; start, unstop; help, info).
 * - ARRET is asked for in Canada, TD in China.
 * - The others are what people are usually told to reply in these languages. A word that is a likely answer to a question is
 *   left out, though it is used here and there: Spanish "alto" and "baja" (high, low), Turkish "dur" (French for hard).
 *
 * Case, accents, width and edge punctuation do not matter: see keyword-rules.ts.
 */
export const keywordLanguages = {
  en: {
    stop: ['stop', 'stopall', 'stop all', 'quit', 'end', 'revoke', 'opt out', 'optout', 'cancel', 'unsubscribe'],
    start: ['start', 'unstop', 'opt in', 'optin'],
    help: ['help', 'info'],
  },
  ar: {
    stop: ['توقف', 'إيقاف', 'أوقف', 'قف', 'إلغاء', 'إلغاء الاشتراك'],
    start: ['ابدأ', 'بدء', 'استئناف'],
    help: ['مساعدة', 'مساعده'],
  },
  bn: { stop: ['থামুন', 'বন্ধ করুন'], start: ['শুরু', 'শুরু করুন'], help: ['সাহায্য'] },
  da: { stop: ['afmeld', 'afmelding'], start: ['tilmeld', 'begynd'], help: ['hjælp'] },
  de: {
    stop: ['stopp', 'stoppen', 'abmelden', 'abbestellen', 'abmeldung'],
    start: ['starten', 'anmelden', 'fortsetzen'],
    help: ['hilfe'],
  },
  el: { stop: ['στοπ', 'διακοπή', 'διαγραφή'], start: ['έναρξη'], help: ['βοήθεια'] },
  es: {
    stop: ['parar', 'para ya', 'detener', 'cancelar', 'dar de baja', 'darme de baja', 'desuscribir'],
    start: ['comenzar', 'empezar', 'iniciar', 'reanudar'],
    help: ['ayuda'],
  },
  fa: { stop: ['توقف', 'لغو', 'لغو عضویت'], start: ['شروع'], help: ['کمک', 'راهنما'] },
  fi: { stop: ['lopeta', 'peruuta'], start: ['aloita', 'jatka'], help: ['apua', 'ohje'] },
  fr: {
    stop: ['arrêt', 'arrêter', 'arrêtez', 'désabonner', 'désabonnement', 'désinscription', 'annuler'],
    start: ['démarrer', 'commencer', 'reprendre'],
    help: ['aide'],
  },
  he: { stop: ['עצור', 'הסר', 'הסרה'], start: ['התחל'], help: ['עזרה'] },
  hi: { stop: ['रोकें', 'रोको', 'रुकें', 'बंद करें', 'बंद करो'], start: ['शुरू', 'शुरू करें', 'प्रारंभ'], help: ['मदद', 'सहायता'] },
  id: { stop: ['berhenti', 'stop langganan'], start: ['mulai'], help: ['bantuan'] },
  it: {
    stop: ['annulla', 'disiscriviti', 'cancellami', 'fermare'],
    start: ['inizia', 'avvia', 'riprendi'],
    help: ['aiuto'],
  },
  ja: { stop: ['停止', '配信停止', '解除', '退会', 'ストップ'], start: ['開始', '再開', 'スタート'], help: ['ヘルプ'] },
  ko: {
    stop: ['중지', '정지', '수신거부', '수신 거부', '구독취소', '구독 취소'],
    start: ['시작', '재개'],
    help: ['도움말', '도움'],
  },
  nl: {
    stop: ['stoppen', 'afmelden', 'uitschrijven', 'opzeggen'],
    start: ['starten', 'aanmelden', 'hervatten'],
    help: ['hulp'],
  },
  no: { stop: ['stopp', 'avmeld', 'meld av'], start: ['begynn'], help: ['hjelp'] },
  pl: { stop: ['zatrzymaj', 'wypisz', 'wypisz mnie', 'rezygnuję'], start: ['zacznij', 'wznów'], help: ['pomoc'] },
  pt: {
    stop: ['parar', 'pare', 'sair', 'cancelar', 'descadastrar', 'cancelar inscrição'],
    start: ['começar', 'iniciar', 'voltar', 'retomar'],
    help: ['ajuda'],
  },
  ru: {
    stop: ['стоп', 'остановить', 'отписаться', 'отписка', 'прекратить'],
    start: ['старт', 'начать', 'возобновить'],
    help: ['помощь', 'справка'],
  },
  sv: { stop: ['stopp', 'stoppa', 'avsluta', 'avregistrera'], start: ['starta'], help: ['hjälp'] },
  sw: { stop: ['acha', 'simamisha'], start: ['anza'], help: ['msaada'] },
  tr: { stop: ['durdur', 'iptal', 'aboneliği iptal et'], start: ['başlat', 'başla'], help: ['yardım'] },
  uk: { stop: ['стоп', 'зупинити', 'відписатися', 'скасувати'], start: ['старт', 'почати'], help: ['допомога'] },
  vi: { stop: ['dừng', 'ngừng', 'hủy đăng ký'], start: ['bắt đầu'], help: ['trợ giúp'] },
  zh: {
    stop: ['停止', '退订', '退訂', '取消订阅', '取消訂閱', 'td'],
    start: ['开始', '開始', '恢复', '恢復'],
    help: ['帮助', '幫助'],
  },
} satisfies Record<string, Record<'stop' | 'start' | 'help', readonly string[]>>;
